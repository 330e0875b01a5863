"""``{{#node.variable#}}`` texts (spec/graph.md 3.7)."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from xworkflow.domain.placeholders import bad_references, references, render
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError


def pool(**spaces: Mapping[str, JsonValue]) -> VariablePool:
    return VariablePool(spaces)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("text", "text"),
        (True, "true"),
        (2.0, "2"),
        (1e21, "1000000000000000000000"),
        ([1, 2.0, "é"], '[1,2.0,"é"]'),
        ({"k": None}, '{"k":null}'),
        (None, ""),
    ],
)
def test_a_value_prints_as_its_display_string(value: JsonValue, shown: str) -> None:
    assert render("<{{#n.x#}}>", pool(n={"x": value}).get, "native") == f"<{shown}>"


def test_a_missing_variable_prints_nothing() -> None:
    assert render("a{{#n.x#}}b", pool().get, "native") == "ab"


def test_the_text_between_the_marks_is_not_trimmed_at_run_time() -> None:
    assert render("[{{# n.x #}}]", pool(n={"x": 1}).get, "native") == "[]"


def test_one_part_reads_the_scope() -> None:
    assert render("{{#item#}}", pool(__scope__={"item": 7}).get, "native") == "7"


def test_three_parts_print_nothing_in_the_native_dialect_and_go_deeper_in_dify() -> None:
    get = pool(n={"x": {"deep": "down"}}).get
    assert render("{{#n.x.deep#}}", get, "native") == ""
    assert render("{{#n.x.deep#}}", get, "dify") == "down"


def test_what_a_value_contains_is_not_rendered_again() -> None:
    get = pool(n={"x": "{{#n.secret#}}", "secret": "s"}).get
    assert render("{{#n.x#}}", get, "native") == "{{#n.secret#}}"


@pytest.mark.parametrize("text", ["{{##}}", "{{#n.x#}", "{#n.x#}}", "{{ n.x }}", "{{#a#b#}}"])
def test_what_is_no_placeholder_stays_as_it_is(text: str) -> None:
    assert render(text, pool(n={"x": 1}).get, "native") == text


@pytest.mark.parametrize(
    ("text", "named"), [("{{#n.ok#}}{{#n.x#}}{{#n.y#}}", "n.x"), ("{{#a.b.c#}}", "a.b.c")]
)
def test_strict_names_the_first_reference_that_has_no_value(text: str, named: str) -> None:
    with pytest.raises(NodeError) as caught:
        render(text, pool(n={"ok": 1}).get, "native", strict=True)
    assert caught.value.code == "variable_not_found"
    assert str(caught.value) == f"Variable not found: {named}"


def test_references_come_in_order_and_each_once() -> None:
    text = "{{#b.x#}} {{#a.y#}} {{#b.x#}} {{#i#}} {{#a.b.c#}} {{#.#}}"
    assert references(text, "native") == (("b", "x"), ("a", "y"), ("__scope__", "i"))
    assert ("a", "b", "c") in references(text, "dify")


def test_validation_may_trim_references() -> None:
    assert references("{{# n.x #}}", "native") == ((" n", "x "),)
    assert references("{{# n.x #}}", "native", trim=True) == (("n", "x"),)


def test_a_reference_without_a_dot_is_bad() -> None:
    assert bad_references("{{# x #}} {{#n.x#}} {{#x#}} {{#context#}}") == ("x", "context")


def test_the_words_of_dify_prompts_are_not_bad_in_dify() -> None:
    assert bad_references("{{#context#}} {{#x#}}", "dify") == ("x",)


@pytest.mark.parametrize("unit", ["{{#", "{{#a", "{", "{{#a.b", "#}}"])
def test_scanning_is_linear_in_hostile_texts(unit: str) -> None:
    started = time.perf_counter()
    references(unit * 200_000, "native")
    assert time.perf_counter() - started < 2  # a quadratic scan would take minutes

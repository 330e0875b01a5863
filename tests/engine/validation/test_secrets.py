"""Secret variables may be read in few fields (E070), and are written to nowhere (E071)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.validation.test_validation import chain, graph, node
from xworkflow.domain.quota import DslLimits
from xworkflow.domain.schema import EnvironmentVariable, ErrorHandler, SubGraph, WorkflowSchema
from xworkflow.domain.security_limits import SelectorValidation
from xworkflow.domain.selectors import Dialect
from xworkflow.engine.validation import validate

SECRET = EnvironmentVariable(name="KEY", value_type="secret", secret="s3cret")
PLAIN = EnvironmentVariable(name="NAME", value="n")
READS = {"variable": "k", "value_selector": ["env", "KEY"]}
BODY = {
    "nodes": [
        {"id": "i", "data": {"type": "start"}},
        {"id": "t", "data": {"type": "template", "template": "{{ k }}", "variables": [READS]}},
    ],
    "edges": [],
}


def with_secret(schema: WorkflowSchema) -> WorkflowSchema:
    return schema.model_copy(update={"environment_variables": (SECRET, PLAIN)})


def codes(schema: WorkflowSchema, only: str = "E07") -> list[tuple[str, str | None, str | None]]:
    found = validate(with_secret(schema)).diagnostics
    return [(d.code, d.node_id, d.field_path) for d in found if d.code.startswith(only)]


@pytest.mark.parametrize(
    ("node_type", "data", "field"),
    [
        ("template-transform", {"template": "{{ k }}", "variables": [READS]}, "variables"),
        ("code", {"code": "x", "inputs": {"k": ["env", "KEY"]}}, "inputs.k"),
        ("answer", {"answer": "the key is {{# env.KEY #}}"}, "answer"),
        ("answer", {"answer": "{{#env.KEY#}}"}, "answer"),
        (
            "if-else",
            {"cases": [{"conditions": [{"variable_selector": ["env", "KEY"]}]}]},
            "cases",
        ),
        ("llm", {"prompt_template": [{"role": "user", "text": "{{#env.KEY#}}"}]}, "prompt"),
        ("llm", {"context": {"enabled": True, "variable_selector": "env.KEY"}}, "context"),
        ("iteration", {"iterator_selector": ["env", "KEY"]}, "iterator_selector"),
        ("variable-aggregator", {"variables": [["start", "x"], ["env", "KEY"]]}, "variables"),
        ("knowledge-retrieval", {"query_variable_selector": ["env", "KEY"]}, "query"),
    ],
)
@pytest.mark.parametrize("dialect", ["native", "dify"])
def test_a_secret_is_refused_where_its_value_would_be_kept(
    node_type: str, data: dict[str, Any], field: str, dialect: Dialect
) -> None:
    found = codes(chain(node("n", node_type, **data), dialect=dialect))
    assert [(code, node_id) for code, node_id, _ in found] == [("E070", "n")]
    assert str(found[0][2]).startswith(field)


def test_an_output_of_the_run_is_no_place_for_a_secret() -> None:
    end = node("end", "end", outputs=[{"variable": "o", "value_selector": ["env", "KEY"]}])
    assert codes(chain(end=end)) == [("E070", "end", "outputs.value_selector")]


@pytest.mark.parametrize(
    ("node_type", "data"),
    [
        (
            "http-request",
            {
                "method": "POST",
                "url": "https://x/{{#env.KEY#}}",
                "headers": [{"key": "a", "value": "{{#env.KEY#}}"}],
                "body": {"type": "raw_text", "data": "{{#env.KEY#}}"},
                "authorization": {"type": "bearer_token", "token": "{{#env.KEY#}}"},
            },
        ),
        ("tool", {"arguments": {"key": "{{#env.KEY#}}"}}),
        ("llm", {"model": {"provider": "p", "credentials": {"api_key": "{{#env.KEY#}}"}}}),
        ("answer", {"answer": "{{#env.NAME#}} {{#start.KEY#}} env.KEY {{#env.KEYS#}}"}),
    ],
)
def test_a_secret_is_accepted_where_an_activity_resolves_it(
    node_type: str, data: dict[str, Any]
) -> None:
    assert codes(chain(node("n", node_type, **data))) == []


def test_bodies_are_looked_through() -> None:
    found = codes(chain(node("loop", "iteration", sub_graph=BODY)))
    assert [(code, node_id) for code, node_id, _ in found] == [("E070", "t")]


def test_flat_bodies_and_the_error_handler_are_looked_through() -> None:
    inner = node("inner", "answer", answer="{{#env.KEY#}}").model_copy(update={"parent_id": "loop"})
    handler = ErrorHandler(
        sub_graph=SubGraph(nodes=(node("h", "answer", answer="{{#env.KEY#}}"),), edges=())
    )
    schema = graph(inner, edges=[], dialect="dify", error_handler=handler)
    assert {(code, node_id) for code, node_id, _ in codes(schema)} == {
        ("E070", "inner"),
        ("E070", "h"),
    }


def test_a_secret_cannot_be_written_to() -> None:
    data = {"assigned_variable_selector": ["env", "KEY"], "write_mode": "overwrite", "value": 1}
    found = codes(chain(node("n", "assigner", **data)))
    assert ("E071", "n", "assigned_variable_selector") in found


def test_without_secret_variables_nothing_is_found() -> None:
    schema = chain(node("n", "answer", answer="{{#env.KEY#}}"))
    assert [d for d in validate(schema).diagnostics if d.code.startswith("E07")] == []


@pytest.mark.parametrize(
    ("selector", "code"),
    [
        (["sys", "a", "b", "c", "d", "e"], "E420"),
        (["sys", "a" * 260], "E421"),
        (["start", "x"], "E422"),
        ("start.x", "E422"),
    ],
)
def test_selectors_are_held_to_the_rules_of_a_policy(selector: Any, code: str) -> None:
    data = {"variables": [{"variable": "a", "value_selector": selector}], "template": "x"}
    schema = chain(node("n", "template-transform", **data), dialect="dify")
    limits = DslLimits(selector_validation=SelectorValidation())
    found = [d.code for d in validate(schema, limits=limits).diagnostics if d.code[:3] == "E42"]
    assert found == [code]
    assert [d for d in validate(schema).diagnostics if d.code[:3] == "E42"] == []


@pytest.mark.parametrize("prefixes", [frozenset({"*"}), frozenset[str](), frozenset({"start"})])
def test_a_star_or_no_prefix_at_all_allows_every_selector(prefixes: frozenset[str]) -> None:
    data = {"code": "x", "inputs": {"a": ["start", "x"]}}
    limits = DslLimits(selector_validation=SelectorValidation(allowed_prefixes=prefixes))
    found = validate(chain(node("n", "code", **data)), limits=limits).diagnostics
    assert [d for d in found if d.code.startswith("E42")] == []

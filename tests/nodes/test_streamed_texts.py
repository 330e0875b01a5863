"""Texts that quote streams: answer and template-transform come in pieces themselves
(spec/graph.md 5.5)."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.nodes.conftest import FakeSandbox, node, pool, ports
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.selectors import Dialect
from xworkflow.domain.streams import CHUNKS, chunks_of, pieces_at
from xworkflow.nodes.answer import Answer
from xworkflow.nodes.template_transform import MAX_STEPS, TemplateTransform


def streamed(*pieces: str) -> dict[str, Any]:
    return {"text": "".join(pieces), **chunks_of("text", pieces)}


VALUES = pool(a=streamed("Hi", " there"), b=streamed("x", "y"), s={"v": "plain", "n": 1})


def answered(
    text: str, values: VariablePool = VALUES, dialect: Dialect = "native"
) -> tuple[str, ...] | None:
    drawn = node("answer", dialect, answer=text)
    return pieces_at(pool(n=Answer().run(drawn, values).outputs).get, ("n", "answer"))


def templated(text: str, values: VariablePool = VALUES, **sources: str) -> tuple[str, ...] | None:
    bindings = [{"variable": name, "value_selector": of} for name, of in sources.items()]
    drawn = node("template-transform", template=text, variables=bindings)
    outputs = TemplateTransform().run(drawn, values).outputs
    return pieces_at(pool(n=outputs).get, ("n", "output"))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("{{#a.text#}}", ("Hi", " there")),
        ("LLM: {{#a.text#}}", ("LLM: Hi", " there")),
        ("{{#s.v#}}{{#a.text#}}!", ("plainHi", " there", "!")),
        ("A={{#a.text#}} B={{#b.text#}}", ("A=Hi", " there", " B=x", "y")),
        ("{{#a.text#}}{{#a.text#}}", ("Hi", " there", "Hi", " there")),
        ("{{#s.v#}}{{#a.gone#}}", None),
        ("nothing", None),
    ],
)
def test_an_answer_comes_in_the_pieces_of_what_it_quotes(
    text: str, pieces: tuple[str, ...] | None
) -> None:
    assert answered(text) == pieces


def test_in_difys_dialect_the_reader_composes_answers_from_their_templates() -> None:
    assert answered("{{#a.text#}}", dialect="dify") is None


@pytest.mark.parametrize(
    ("text", "sources", "pieces"),
    [
        ("Result: {{ a }}", {"a": "a.text"}, ("Result: Hi", " there")),
        ("{{ a }}{{ s }}", {"s": "s.v", "a": "a.text"}, ("Hi", " thereplain")),
        ("{{ a }} {{ b }}", {"b": "b.text", "a": "a.text"}, ("Hi ", "there xy")),
        ("{{ a|upper }}", {"a": "a.text"}, ("HI", " THERE")),
        ("{% if a == 'Hi there' %}yes{% else %}no{% endif %}", {"a": "a.text"}, ("yes",)),
        ("{{ s }}", {"s": "s.v"}, None),
    ],
)
def test_a_template_comes_in_the_pieces_that_are_sure(
    text: str, sources: dict[str, str], pieces: tuple[str, ...] | None
) -> None:
    assert templated(text, VALUES, **sources) == pieces


def test_half_a_value_that_cannot_be_rendered_is_no_failure() -> None:
    assert templated("{{ (a|split(' '))[1].x }}{{ a }}", a="a.text") == ("Hi there",)


def test_a_long_stream_is_rendered_in_few_steps() -> None:
    values = pool(a=streamed(*"x" * 1000))
    found = templated("{{ a }}", values, a="a.text")
    assert found is not None
    assert "".join(found) == "x" * 1000
    assert len(found) == MAX_STEPS


async def test_a_template_that_is_rendered_in_a_sandbox_comes_in_one_piece() -> None:
    bindings = [{"variable": "a", "value_selector": "a.text"}]
    drawn = node("template-transform", template="{% set x = a %}{{ x }}", variables=bindings)
    sandbox = FakeSandbox("out")
    result = await TemplateTransform().execute(drawn, VALUES, ports(sandbox))
    assert result.outputs == {"output": "native:out", CHUNKS: {"output": [10]}}


@pytest.mark.parametrize("dialect", ["native", "dify"])
def test_native_texts_read_where_lengths_lie(dialect: Dialect) -> None:
    answer = node("answer", dialect, answer="{{#a.text#}}")
    template = node(
        "template-transform",
        dialect,
        template="{{ a }}",
        variables=[{"variable": "a", "value_selector": "a.text"}],
    )
    reads = [("a", CHUNKS)] if dialect == "native" else []
    assert list(Answer().hidden_reads(answer)) == reads
    assert list(TemplateTransform().hidden_reads(template)) == reads


PIECES = st.lists(st.text("ab{}# ", max_size=3), max_size=5)
PARTS = st.sampled_from(["{{#a.text#}}", "{{#b.text#}}", "{{#s.n#}}", "-", "{{#", "#}}", "é"])


@given(st.lists(PARTS, max_size=6), PIECES, PIECES)
def test_the_pieces_of_an_answer_are_the_answer(
    parts: list[str], a: list[str], b: list[str]
) -> None:
    values = pool(a=streamed(*a), b=streamed(*b), s={"n": 1})
    drawn = node("answer", answer="".join(parts))
    outputs = Answer().run(drawn, values).outputs
    lengths = cast("dict[str, list[int]]", outputs.get(CHUNKS, {})).get("answer")
    text = cast("str", outputs["answer"])
    assert lengths is None or sum(lengths) == len(text)
    joined = pieces_at(pool(n=outputs).get, ("n", "answer"))
    assert joined is None or "".join(joined) == text
    quotes = {s[0] for s in Answer().quotes(drawn)}
    assert (lengths is not None) == bool((a and "a" in quotes) or (b and "b" in quotes))


TEMPLATES = st.sampled_from(["{{ a }}", "{{ b|upper }}", "{{ a|length }}", "-", "{{ a|reverse }}"])


@given(st.lists(TEMPLATES, max_size=5), PIECES, PIECES)
def test_the_pieces_of_a_template_are_its_text(
    parts: list[str], a: list[str], b: list[str]
) -> None:
    bindings = [{"variable": n, "value_selector": f"{n}.text"} for n in "ab"]
    drawn = node("template-transform", template="".join(parts) or "-", variables=bindings)
    outputs = TemplateTransform().run(drawn, pool(a=streamed(*a), b=streamed(*b))).outputs
    pieces = pieces_at(pool(n=outputs).get, ("n", "output"))
    assert (pieces is not None) == bool(a or b)
    assert pieces is None or "".join(pieces) == outputs["output"]

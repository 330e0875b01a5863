"""Chunks among the events of a run: from lengths once a node has ended, or live; the same text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.played import Played, chunks, content, text_of, words
from tests.properties.in_memory import reloaded
from tests.workflows.drawing import FAIL_BRANCH, choice, end, graph, node, retries, start
from xworkflow.domain.schema import ErrorStrategy, NodeSpec, WorkflowSchema
from xworkflow.engine.composing import Composed

MODEL = {"provider": "openai", "name": "m"}


def llm(id_: str, **parts: Any) -> NodeSpec:
    return node(id_, "llm", model=MODEL, stream=True, **parts)


def answer(said: str, id_: str = "answer") -> NodeSpec:
    return node(id_, "answer", answer=said)


def assign(id_: str, variable: str) -> NodeSpec:
    return node(
        id_,
        "assigner",
        assigned_variable_selector=["conversation", variable],
        value="new",
        write_mode="overwrite",
    )


def dify(nodes: list[NodeSpec], *drawn: str) -> WorkflowSchema:
    return graph("g", nodes, *drawn).model_copy(update={"dialect": "dify"})


def without_ids(composed: list[Composed]) -> list[Any]:
    return [
        (type_, {k: v for k, v in data.items() if k != "id"})
        for type_, data in map(content, composed)
    ]


# --- native


NATIVE = graph(
    "g", [start(), llm("llm"), answer("{{#llm.text#}}"), end()], "start > llm", "llm > answer",
    "answer > end",
)  # fmt: skip


def test_the_chunks_of_an_llm_stand_before_its_end() -> None:
    log = Played(NATIVE).begin().ends("llm", "Hel", "lo", "").composed()
    told = words(log)
    at = told.index("node-started llm")
    assert told[at : at + 5] == [
        "node-started llm", "chunk Hel", "chunk lo", "chunk", "node-succeeded llm",
    ]  # fmt: skip
    assert [w for w in told if w.startswith("chunk")] == ["chunk Hel", "chunk lo", "chunk"]
    last = chunks(log)[-1]
    assert last | {"id": ""} == {
        "id": "",
        "node_id": "llm",
        "node_type": "llm",
        "chunk": "",
        "selector": ["llm", "text"],
        "is_final": True,
    }
    assert [chunk["is_final"] for chunk in chunks(log)] == [False, False, True]
    assert len({chunk["id"] for chunk in chunks(log)}) == 3


def test_a_log_is_composed_alike_each_time() -> None:
    run = Played(NATIVE).begin().ends("llm", "a", "b")
    assert [content(e) for e in run.composed()] == [content(e) for e in run.composed()]


def test_an_output_without_pieces_has_no_chunks_in_the_native_dialect() -> None:
    run = Played(NATIVE).begin().ends("llm", text="whole")
    assert chunks(run.composed()) == []


def test_live_pieces_are_shown_as_they_come_and_not_again() -> None:
    run = Played(NATIVE).begin().ends("llm", "a", "b", "c")
    composer = run.composer()
    before, after = run.turns[:-3], run.turns[-3:]
    for state, emitted in before:
        composer.compose(state, emitted)
    live = composer.delta("llm", "text", "a") + composer.delta("llm", "text", "b")
    assert words(live) == ["chunk a", "chunk b"]
    rest = [c for state, emitted in after for c in composer.compose(state, emitted)]
    assert words(rest)[:2] == ["chunk c", "node-succeeded llm"]
    assert composer.delta("llm", "text", "late") == []
    assert composer.delta("unknown", "text", "x") == []


def test_pieces_that_are_quicker_than_the_history_wait_for_their_node() -> None:
    run = Played(NATIVE).begin()
    composer = run.composer()
    assert composer.delta("llm", "text", "a") == []
    assert words(run.composed(composer))[-2:] == ["node-started llm", "chunk a"]


def test_a_stream_that_starts_again_replaces_what_was_shown() -> None:
    run = Played(NATIVE).begin()
    composer = run.composer()
    run.composed(composer)
    assert composer.replaced("llm") == [], "nothing was shown yet"
    composer.delta("llm", "text", "wrong")
    assert words(composer.replaced("llm")) == ["replaced llm"]
    assert words(composer.delta("llm", "text", "a")) == ["chunk a"]
    (last, *_) = [
        composer.compose(state, emitted) for state, emitted in run.ends("llm", "a", "b").turns[-3:]
    ]
    assert words(last)[:2] == ["chunk b", "node-succeeded llm"]


def test_a_result_that_is_not_what_was_shown_is_shown_anew() -> None:
    run = Played(NATIVE).begin()
    composer = run.composer()
    run.composed(composer)
    composer.delta("llm", "text", "guess")
    found = composer.compose(*run.ends("llm", "a", "b").turns[-3])
    assert words(found)[:4] == ["replaced llm", "chunk a", "chunk b", "node-succeeded llm"]


def test_a_value_that_stands_for_a_failed_stream_replaces_what_was_shown() -> None:
    strategy = ErrorStrategy(type="default-value", default_value={"text": "sorry"})
    nodes = [start(), llm("llm", strategy=strategy), end(t="llm.text")]
    run = Played(graph("g", nodes, "start > llm", "llm > end")).begin()
    composer = run.composer()
    run.composed(composer)
    composer.delta("llm", "text", "so f")
    found = composer.compose(*run.fails("llm").turns[-2])
    assert words(found)[:3] == ["replaced llm", "chunk sorry", "node-exception llm"]


# --- Dify


CHAT = dify(
    [start("q"), llm("llm"), answer("Hi {{#start.q#}}: {{#llm.text#}}.")],
    "start > llm", "llm > answer",
)  # fmt: skip


def test_a_response_prints_in_the_order_of_its_template() -> None:
    run = Played(CHAT, inputs={"q": "Ada"}).begin().ends("llm", "a", "b")
    log = run.composed()
    assert words(log) == [
        "run-started",
        "node-started start",
        "chunk Hi ",
        "chunk Ada",
        "chunk : ",
        "node-succeeded start",
        "node-started llm",
        "chunk a",
        "chunk b",
        "chunk .",
        "node-succeeded llm",
        "node-started answer",
        "node-succeeded answer",
        "run-succeeded",
    ]
    assert [(c["node_id"], c["selector"]) for c in chunks(log)] == [
        ("answer", ["answer", "answer"]),
        ("start", ["start", "q"]),
        ("answer", ["answer", "answer"]),
        ("llm", ["llm", "text"]),
        ("llm", ["llm", "text"]),
        ("answer", ["answer", "answer"]),
    ]


def test_live_pieces_take_their_place_in_the_response() -> None:
    run = Played(CHAT, inputs={"q": "Ada"}).begin()
    composer = run.composer()
    run.composed(composer)
    assert words(composer.delta("llm", "text", "a")) == ["chunk a"]
    found = composer.compose(*run.ends("llm", "a", "b").turns[-2])
    assert words(found)[:3] == ["chunk b", "chunk .", "node-succeeded llm"]


def test_a_live_piece_waits_for_the_turn_of_its_variable() -> None:
    nodes = [start(), llm("one"), llm("two"), answer("{{#one.text#}}+{{#two.text#}}")]
    drawn = ["start > one", "start > two", "one > answer", "two > answer"]
    run = Played(dify(nodes, *drawn)).begin()
    composer = run.composer()
    run.composed(composer)
    assert composer.delta("two", "text", "2") == []
    assert words(composer.delta("one", "text", "1")) == ["chunk 1"]
    found = composer.compose(*run.ends("one", "1").turns[-1])
    assert words(found) == ["chunk +", "chunk 2", "node-succeeded one"]


def test_a_response_behind_a_branch_waits_until_the_branch_is_taken() -> None:
    nodes = [
        start("q"), llm("llm"), choice("if", "llm.text", "yes"),
        answer("A {{#start.q#}} {{#llm.text#}}", "a"), answer("B {{#llm.text#}}", "b"),
    ]  # fmt: skip
    drawn = ["start > llm", "llm > if", "if:yes > a", "if:false > b"]
    run = Played(dify(nodes, *drawn), inputs={"q": "q"}).begin().ends("llm", "ye", "s")
    told = words(run.composed())
    assert told[5:] == [
        "node-started if", "chunk A ", "chunk q", "chunk  ", "chunk ye", "chunk s",
        "node-succeeded if", "node-started a", "node-succeeded a", "run-succeeded",
    ]  # fmt: skip


def test_a_response_behind_a_failure_branch_waits_for_the_end() -> None:
    nodes = [
        start(), llm("llm", strategy=FAIL_BRANCH),
        answer("ok {{#llm.text#}}", "ok"), answer("no {{#llm.error_type#}}", "no"),
    ]  # fmt: skip
    drawn = ["start > llm", "llm > ok", "llm:fail-branch > no"]
    run = Played(dify(nodes, *drawn)).begin()
    composer = run.composer()
    run.composed(composer)
    assert composer.delta("llm", "text", "half") == []
    assert text_of(run.fails("llm").composed()) == "no InvokeConnectionError"
    assert text_of(Played(dify(nodes, *drawn)).begin().ends("llm", "a").composed()) == "ok a"


def test_what_is_rewritten_on_the_way_is_printed_as_it_was_rewritten() -> None:
    nodes = [start(), llm("llm"), assign("set", "c"), answer("{{#conversation.c#}}")]
    for drawn in (
        ["start > llm", "llm > set", "set > answer"],
        ["start > llm", "start > set", "llm > answer", "set > answer"],
    ):
        run = Played(dify(nodes, *drawn), pool={"conversation": {"c": "old"}}).begin()
        run.ends("llm", "x")
        assert text_of(run.composed()) == "new"


def test_a_variable_of_a_branch_that_was_not_taken_prints_nothing() -> None:
    nodes = [
        start("q"), choice("if", "start.q", "yes"), llm("a"), llm("b"),
        answer("{{#a.text#}}/{{#b.text#}}"),
    ]  # fmt: skip
    drawn = ["start > if", "if:yes > a", "if:false > b", "a > answer", "b > answer"]
    run = Played(dify(nodes, *drawn), inputs={"q": "yes"}).begin().ends("a", "1", "2")
    assert [c["chunk"] for c in chunks(run.composed())] == ["1", "2", "/"]


def test_a_variable_that_comes_after_its_response_prints_nothing() -> None:
    nodes = [start(), llm("slow"), answer("a{{#slow.text#}}b")]
    run = Played(dify(nodes, "start > slow", "start > answer")).begin().ends("slow", "x")
    assert text_of(run.composed()) == "ab"


def test_responses_side_by_side_print_one_after_another() -> None:
    nodes = [
        start(), llm("one"), llm("two"), answer("1{{#one.text#}}.", "a"),
        answer("2{{#two.text#}}.", "b"),
    ]  # fmt: skip
    drawn = ["start > one", "start > two", "one > a", "two > b"]
    for order in (["one", "two"], ["two", "one"]):
        run = Played(dify(nodes, *drawn)).begin()
        for node_id in order:
            run.ends(node_id, "x", "y")
        assert text_of(run.composed()) == "1xy.2xy."


def test_the_outputs_of_an_end_are_printed_line_by_line() -> None:
    nodes = [start("q"), llm("llm"), end(a="start.q", b="llm.text", c="llm.none")]
    run = Played(dify(nodes, "start > llm", "llm > end"), inputs={"q": 1}).begin().ends("llm", "x")
    assert text_of(run.composed()) == "1\nx\n"


def test_a_retry_starts_the_variable_again() -> None:
    nodes = [start(), llm("llm", retry=retries(1, 0)), answer("{{#llm.text#}}")]
    run = Played(dify(nodes, "start > llm", "llm > answer")).begin()
    composer = run.composer()
    log = run.composed(composer)
    log += composer.delta("llm", "text", "first")
    log += composer.replaced("llm")
    log += composer.delta("llm", "text", "second")
    before = len(run.turns)
    for state, emitted in run.fails("llm").ends("llm", "second", " try").turns[before:]:
        log += [c for c in composer.compose(state, emitted) if content(c)[0] in SHOWN]
    assert words(log)[-4:] == ["chunk first", "replaced llm", "chunk second", "chunk  try"]


SHOWN = ("node_run_stream_chunk", "node_run_stream_replaced")


# --- laws


TEXTS = st.lists(st.text("ab ", max_size=2), min_size=1, max_size=4)


@given(
    template=st.lists(st.sampled_from(["x", "{{#one.text#}}", "{{#two.text#}}"]), max_size=5),
    one=TEXTS,
    two=TEXTS,
    steps=st.lists(st.sampled_from(["one", "two", "stop"]), max_size=8),
    first=st.sampled_from(["one", "two"]),
)
@pytest.mark.parametrize("dialect", ["dify", "native"])
def test_live_or_not_the_chunks_are_the_text(  # noqa: PLR0913, PLR0917 - what chance decides
    dialect: Any, template: list[str], one: list[str], two: list[str], steps: list[str], first: str
) -> None:
    """However many pieces came live, and whichever model was done first: the same chunks, which
    joined are the answer (Dify) or the models' texts (native)."""
    nodes = [start(), llm("one"), llm("two"), answer("".join(template) or "-")]
    drawn = ["start > one", "start > two", "one > answer", "two > answer"]
    schema = graph("g", nodes, *drawn).model_copy(update={"dialect": dialect})
    said = {"one": one, "two": two}
    order = [first, "two" if first == "one" else "one"]

    run = Played(schema).begin()
    composer = run.composer()
    live: list[Composed] = run.composed(composer)
    left = {name: list(pieces) for name, pieces in said.items()}
    moves = iter(steps)
    for node_id in order:
        for name in iter(lambda: next(moves, "stop"), "stop"):
            if left[name]:
                live += composer.delta(name, "text", left[name].pop(0))
        before = len(run.turns)
        run.ends(node_id, *said[node_id])
        for state, emitted in run.turns[before:]:
            live += composer.compose(state, emitted)

    closed = run.composed()
    answers = run.turns[-1][0].pool.get(("answer", "answer"))
    if dialect == "dify":
        assert [c["chunk"] for c in chunks(live)] == [c["chunk"] for c in chunks(closed)]
        assert text_of(live) == answers
    else:
        for name, pieces in said.items():
            assert [c["chunk"] for c in chunks(live) if c["node_id"] == name] == pieces
            assert text_of(closed, name) == "".join(pieces)


def test_the_composer_leaves_the_events_of_the_run_as_they_are() -> None:
    run = Played(CHAT, inputs={"q": "Ada"}).begin().ends("llm", "a", "b")
    given_events = [event for _, emitted in run.turns for event in emitted]
    kept = [event for event in run.composed() if not isinstance(event, tuple)]
    assert kept == given_events


def test_a_run_that_goes_on_in_a_new_history_is_composed_on() -> None:
    """The states of the next history's driver are other objects, and equal."""
    run = Played(CHAT, inputs={"q": "Ada"}).begin().ends("llm", "a", "b")
    composer = run.composer()
    copied = [(reloaded(state), emitted) for state, emitted in run.turns]
    composed = [c for state, emitted in copied for c in composer.compose(state, emitted)]
    assert without_ids(composed) == without_ids(run.composed())

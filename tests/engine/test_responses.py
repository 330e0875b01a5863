"""Answers side by side are stored in the order in which they are shown."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from tests.engine.played import Played, chunks, text_of, words
from tests.properties.answer_graphs import Model
from tests.properties.answer_shell import AnswerShell, run_of
from tests.workflows.drawing import body, choice, gather, graph, node, retries, start
from xworkflow.domain.facts import DrainRequested, NodeSucceeded, Resumed
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.schema import ErrorStrategy, NodeSpec, WorkflowSchema
from xworkflow.domain.state import RunState, dump_state, load_state
from xworkflow.domain.wire import MockNode
from xworkflow.engine.driver import Driver
from xworkflow.engine.start import carrier_of, compiled_of

MODEL = {"provider": "openai", "name": "m"}


def llm(id_: str, **parts: Any) -> NodeSpec:
    return node(id_, "llm", model=MODEL, stream=True, **parts)


def answer(said: str, id_: str, **parts: Any) -> NodeSpec:
    return node(id_, "answer", answer=said, **parts)


def dify(nodes: list[NodeSpec], *drawn: str) -> WorkflowSchema:
    return graph("g", nodes, *drawn).model_copy(update={"dialect": "dify"})


SIDE_BY_SIDE = dify(
    [
        start("q"), llm("one"), llm("two"), answer("1{{#one.text#}}.", "a"),
        answer("2{{#two.text#}}.", "b"),
    ],
    "start > one", "start > two", "one > a", "two > b",
)  # fmt: skip


def final(run: Played) -> RunState:
    return run.turns[-1][0]


def stored(run: Played) -> Any:
    return final(run).outputs.get("answer")


# ---- the order


@pytest.mark.parametrize("order", [["one", "two"], ["two", "one"]])
def test_the_stored_answer_has_the_order_of_the_stream(order: list[str]) -> None:
    run = Played(SIDE_BY_SIDE).begin()
    for node_id in order:
        run.ends(node_id, "x", "y")
    assert stored(run) == text_of(run.composed()) == "1xy.2xy."


def test_a_quick_answer_is_in_the_outputs_while_an_earlier_one_is_awaited() -> None:
    run = Played(SIDE_BY_SIDE).begin().ends("two", "x")
    assert stored(run) == "2x."
    assert text_of(run.composed()) == "1"
    assert stored(run.ends("one", "y")) == "1y.2x."


def test_an_answer_behind_a_branch_comes_after_those_that_were_certain_before() -> None:
    nodes = [
        start("q"), choice("if", "one.text", "yes"), llm("one"), llm("two"),
        answer("behind", "a"), answer("{{#two.text#}},", "b"),
    ]  # fmt: skip
    drawn = ["start > one", "one > if", "if:yes > a", "start > two", "two > b"]
    run = Played(dify(nodes, *drawn)).begin().ends("one", "yes").ends("two", "x")
    assert stored(run) == text_of(run.composed()) == "x,behind"


def test_an_answer_that_is_skipped_leaves_no_gap() -> None:
    nodes = [
        start("q"), llm("one"), choice("if", "start.q", "yes"), answer("never", "a"),
        answer("{{#one.text#}}", "b"),
    ]  # fmt: skip
    drawn = ["start > if", "if:yes > a", "start > one", "one > b"]
    run = Played(dify(nodes, *drawn), inputs={"q": "no"}).begin().ends("one", "x")
    assert stored(run) == text_of(run.composed()) == "x"


def test_what_stands_for_an_answer_that_fails_is_shown_instead_of_it() -> None:
    strategy = ErrorStrategy(type="default-value", default_value={"answer": "sorry"})
    nodes = [start(), llm("one"), answer("{{#one.text#}}", "a", strategy=strategy)]
    mocks = {"a": MockNode(error="broken", error_type="execution_error")}
    schema = dify(nodes, "start > one", "one > a")
    run = Played(schema, mocks=mocks).begin().ends("one", "x")
    assert stored(run) == text_of(run.composed()) == "sorry"
    run = Played(schema).begin().ends("one", "x")
    assert stored(run) == text_of(run.composed()) == "x"


def test_a_mocked_answer_is_shown_when_it_is_given() -> None:
    mocks = {"a": MockNode(outputs={"answer": "mocked"})}
    run = Played(SIDE_BY_SIDE, mocks=mocks).begin().ends("two", "x").ends("one", "y")
    assert stored(run) == text_of(run.composed()) == "mocked2x."
    (first, *_) = chunks(run.composed())
    assert (first["node_id"], first["selector"]) == ("a", ["a", "answer"])


def test_an_answer_that_a_gather_may_stop_is_shown_only_when_it_is_given() -> None:
    nodes = [
        start(), llm("one"), llm("two"), answer("1{{#one.text#}}", "a"),
        gather("any", {"type": "any"}, "two.text"), answer("done", "b"),
    ]  # fmt: skip
    drawn = ["start > one", "one > a", "a > any", "start > two", "two > any", "any > b"]
    run = Played(dify(nodes, *drawn)).begin().ends("two", "x")
    assert stored(run) == text_of(run.composed()) == "done"
    run = Played(dify(nodes, *drawn)).begin().ends("one", "x")
    assert stored(run) == text_of(run.composed()) == "1xdone"


def test_what_is_written_side_by_side_is_shown_as_the_answer_read_it() -> None:
    assigner = node(
        "set", "assigner", assigned_variable_selector=["conversation", "c"], value="new",
        write_mode="overwrite",
    )  # fmt: skip
    nodes = [start(), llm("one"), assigner, answer("{{#conversation.c#}}", "a"), llm("two")]
    drawn = ["start > one", "one > set", "start > two", "two > a"]
    for order, said in ((["one", "two"], "new"), (["two", "one"], "old")):
        run = Played(dify(nodes, *drawn), pool={"conversation": {"c": "old"}}).begin()
        for node_id in order:
            run.ends(node_id, "x")
        assert stored(run) == text_of(run.composed()) == said


def test_an_end_that_calls_an_output_answer_wins_as_ever() -> None:
    nodes = [
        start("q"), answer("said", "a"), llm("one"), answer("more", "b"),
        node("end", "end", outputs=[{"variable": "answer", "value_selector": ["start", "q"]}]),
    ]  # fmt: skip
    drawn = ["start > a", "a > end", "start > one", "one > b"]
    run = Played(dify(nodes, *drawn), inputs={"q": "end"}).begin().ends("one", "x")
    assert stored(run) == "endmore"


# ---- states


def test_a_state_of_an_older_version_goes_on_in_the_order_in_which_answers_end() -> None:
    compiled = Played(SIDE_BY_SIDE).compiled
    run = Played(SIDE_BY_SIDE).begin()
    old = dump_state(final(run))
    assert old.pop("said") == [[3, None, False], [4, None, False]]
    driver = Driver(compiled, load_state(json.loads(json.dumps(old))))
    assert driver.state.said is None
    for node_id in ("two", "one"):
        outputs = {"text": node_id}
        index = compiled.plan.index_of[node_id]
        driver.feed(NodeSucceeded(index, 1, NodeRunResult(outputs=outputs), 0))
    assert driver.state.outputs == {"answer": "2two.1one."}


def test_an_old_run_is_shown_in_the_order_in_which_its_answers_end() -> None:
    run = Played(SIDE_BY_SIDE).begin().ends("two", "x").ends("one", "y")
    shown = run.composer()
    turns = [(_without_order(state), emitted) for state, emitted in run.turns]
    assert text_of([c for state, emitted in turns for c in shown.compose(state, emitted)]) == (
        "2x.1y."
    )


def _without_order(state: RunState) -> RunState:
    dumped = dump_state(state)
    dumped.pop("said")
    return load_state(dumped)


def test_a_state_that_answers_nothing_is_as_large_as_before() -> None:
    nodes = [start(), llm("one"), answer("x", "a")]
    native = Played(graph("g", nodes, "start > one", "one > a")).begin()
    assert not native.compiled.plan.places
    assert "said" not in dump_state(final(native))
    silent = Played(dify([start(), llm("one")], "start > one")).begin()
    assert "said" not in dump_state(final(silent))


# ---- containers


def spoken(
    *nodes: NodeSpec, drawn: list[str], models: dict[str, Model], seed: int = 0
) -> AnswerShell:
    run = run_of(dify(list(nodes), *drawn))
    shell = AnswerShell(run, models, Random(seed))  # noqa: S311 - an order, no secret
    assert shell.finish().status == "completed"
    assert shell.shown == shell.stored
    return shell


def each(id_: str, **more: Any) -> NodeSpec:
    """An iteration over x, y and z that says each of them."""
    inner = body(
        node(f"{id_}s", "iteration-start"), llm(f"{id_}llm"),
        answer(f"({{{{#{id_}.item#}}}}{{{{#{id_}llm.text#}}}})", f"{id_}a"),
    )  # fmt: skip
    inner["start"] = f"{id_}s"
    return node(id_, "iteration", sub_graph=inner, iterator_selector=["sys", "items"], **more)


SAYING = {name: Model(("!",)) for name in ("one", "boxllm", "outerllm")}


def where(shell: AnswerShell) -> list[str]:
    """The workflow of each chunk."""
    return [of for of, e in shell.log if e.type == "node_run_stream_chunk"]


def test_items_that_speak_alone_are_shown_as_they_speak() -> None:
    drawn = ["start > hello", "hello > box", "box > bye"]
    shell = spoken(
        start(), answer("hello", "hello"), each("box"), answer("bye", "bye"),
        drawn=drawn, models=SAYING,
    )  # fmt: skip
    assert shell.stored == "hello(x!)(y!)(z!)bye"
    assert where(shell).count("run") == 2


@pytest.mark.parametrize("seed", range(8))
def test_items_that_speak_while_an_answer_is_shown_wait_for_their_turn(seed: int) -> None:
    drawn = ["start > one", "one > a", "start > box"]
    said = answer("{{#sys.query#}}{{#one.text#}}", "a")
    shell = spoken(start(), llm("one"), said, each("box"), drawn=drawn, models=SAYING, seed=seed)
    assert shell.stored == "yes!(x!)(y!)(z!)"
    assert set(where(shell)) == {"run"}


@pytest.mark.parametrize(
    "how",
    [
        {"is_parallel": True, "parallel_nums": 3},
        {"error_handle_mode": "continue_on_error"},
        {"retry": retries(1, 0)},
        {"strategy": ErrorStrategy(type="fail-branch")},
    ],
)
def test_items_side_by_side_or_whose_words_may_not_count_are_shown_at_the_end(how: Any) -> None:
    for seed in range(5):
        shell = spoken(start(), each("box", **how), drawn=["start > box"], models=SAYING, seed=seed)
        assert shell.stored == "(x!)(y!)(z!)"
        assert where(shell) == ["run"]


def test_what_is_inside_of_a_silent_container_is_silent_too() -> None:
    inner = body(node("s", "iteration-start"), each("box"))
    inner["start"] = "s"
    outer = node(
        "outer", "iteration", sub_graph=inner, iterator_selector=["sys", "items"],
        is_parallel=True, parallel_nums=2,
    )  # fmt: skip
    shell = spoken(start(), outer, drawn=["start > outer"], models=SAYING)
    assert shell.stored == "(x!)(y!)(z!)" * 3
    assert where(shell) == ["run"]


def test_a_container_that_a_gather_stops_has_said_nothing() -> None:
    drawn = ["start > box", "box > any", "start > one", "one > any", "any > bye"]
    for seed in range(12):
        shell = spoken(
            start(), each("box"), llm("one"), gather("any", {"type": "any"}, "one.text"),
            answer("bye", "bye"), drawn=drawn, models=SAYING, seed=seed,
        )  # fmt: skip
        assert shell.stored in ("bye", "(x!)(y!)(z!)bye")


def test_a_container_keeps_its_silence_in_a_new_history() -> None:
    run = run_of(dify([start(), each("box", is_parallel=True)], "start > box"))
    carrier = carrier_of(run, compiled_of(run), "run")
    carrier.begin(0)
    carrier.tell(DrainRequested(0))
    again = carrier_of(run.model_copy(update={"state": carrier.dump()}), carrier.compiled, "run")
    again.tell(Resumed(0))
    (progress,) = (p for _, p in again.lanes[0].state.repeats.items())
    assert progress.quiet


# ---- what is certain


def test_the_responses_of_a_plan_know_what_may_change_them() -> None:
    assigner = node(
        "set", "assigner", assigned_variable_selector=["conversation", "c"], value="new",
        write_mode="overwrite",
    )  # fmt: skip
    nodes = [
        start(), assigner, answer("{{#conversation.c#}}", "a"), answer("b", "b"), each("box"),
        answer("{{#conversation.c#}}", "c"), node("later", "assigner", **assigner.data),
    ]  # fmt: skip
    drawn = ["start > set", "start > a", "start > b", "start > box", "box > c", "a > later"]
    plan = compiled_of(run_of(dify(nodes, *drawn))).plan
    found = {
        plan.nodes[r.node].id: [plan.nodes[index].id for index in r.writers] for r in plan.responses
    }
    assert found == {"a": ["set"], "b": [], "c": ["set", "box", "later"]}
    assert [n.id for n in plan.nodes if n.speaks] == ["box"]


def test_words_before_the_first_end_of_a_body_are_live() -> None:
    """Its start node ends without an event."""
    inner = body(node("s", "iteration-start"), llm("llm"), answer("-{{#llm.text#}}", "a"))
    schema = WorkflowSchema.model_validate({"dialect": "dify", **inner, "start": "s"})
    run = Played(schema).begin()
    composer = run.composer()
    run.composed(composer)
    assert words(composer.delta("llm", "text", "x")) == ["chunk -", "chunk x"]

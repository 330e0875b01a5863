"""Where a fork starts, what it reuses, and which changes of the file it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.drawing import (
    FAIL_BRANCH,
    chain,
    choice,
    end,
    first_of,
    graph,
    http,
    node,
    start,
    text,
)
from xworkflow.domain.commands import Emit, StartChunk, StartNode, StartTimer
from xworkflow.domain.facts import (
    ChunkFinished,
    Fact,
    Forked,
    NodeFailed,
    NodeSucceeded,
    RunStarted,
    TimerFired,
    VariablesUpdated,
)
from xworkflow.domain.ids import IdSequence
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.repeats import ChunkEnd, ItemOutcome
from xworkflow.domain.results import NodeRunResult, PoolWrite
from xworkflow.domain.schema import EnvironmentVariable, NodeSpec, RetryConfig, WorkflowSchema
from xworkflow.domain.secret_references import reference
from xworkflow.domain.streams import chunks_of
from xworkflow.domain.wire import ExecutorInfo, MockNode, Policy, RunInput, Variables
from xworkflow.engine.composing import composer
from xworkflow.engine.driver import Driver, Effect
from xworkflow.engine.forking import Fork, Wish, fork
from xworkflow.engine.past import Note, Past, Retracing
from xworkflow.engine.run_changes import run_changes
from xworkflow.engine.start import compiled_of, first_state
from xworkflow.errors import NodeFailure, ValidationFailed

NOW = 5_000_000


class Run:
    """A run in memory whose calls end when the test says so."""

    def __init__(
        self,
        schema: WorkflowSchema,
        *,
        mocks: dict[str, MockNode] | None = None,
        **inputs: Any,
    ) -> None:
        run = RunInput(
            schema_text=schema.text,
            variables=Variables(user_inputs=inputs),
            mock_nodes=mocks or {},
        )
        self.run_input = run
        self.compiled = compiled_of(run)
        self.first = first_state(run, self.compiled, "run")
        self.notes: list[Note] = []
        self.driver: Driver = Retracing(self.compiled, self.first, self.notes)
        self.effects: list[Effect] = []
        self.feed(RunStarted(1000))

    def feed(self, fact: Fact) -> Run:
        self.effects += self.driver.feed(fact)
        return self

    def ends(self, node_id: str, **outputs: Any) -> Run:
        index = self.compiled.plan.index_of[node_id]
        return self.feed(NodeSucceeded(index, 1, NodeRunResult(outputs=outputs), 1000))

    def fails(self, node_id: str) -> Run:
        failure = NodeFailure(code="http_error", text="broken", retryable=True)
        return self.feed(NodeFailed(self.compiled.plan.index_of[node_id], 1, failure, 1000))

    def time_is_up(self, node_id: str) -> Run:
        index = self.compiled.plan.index_of[node_id]
        return self.feed(TimerFired(index, 0, 1000, "join"))

    def fork(
        self, from_node: str | None = None, schema: WorkflowSchema | None = None, **wish: Any
    ) -> Fork:
        new = self.compiled
        if schema is not None:
            new = compiled_of(self.run_input.model_copy(update={"schema_text": schema.text}))
        past = Past(self.compiled, self.first, self.driver.state, tuple(self.notes))
        return fork(past, new, Wish(from_node, now=NOW, **wish), IdSequence("fork"))

    def refusal(self, from_node: str | None = None, schema: WorkflowSchema | None = None) -> Any:
        """(code, node) of each reason against a fork."""
        with pytest.raises(ValidationFailed) as refused:
            self.fork(from_node, schema)
        return [(found.code, found.node_id) for found in refused.value.report.errors]


def begun(run: Run, cut: Fork) -> tuple[Driver, list[Effect]]:
    """The fork of the same file, begun."""
    driver = Driver(run.compiled, cut.state)
    return driver, driver.feed(Forked("run", "", NOW + 10))


def running(run: Run, effects: list[Effect]) -> set[tuple[str, int]]:
    nodes = run.compiled.plan.nodes
    return {(nodes[e.node].id, e.attempt) for e in effects if isinstance(e, StartNode)}


# ---- gathers


def gathering(mode: Any, **data: Any) -> WorkflowSchema:
    calls = [http(name, "http://x/") for name in "abc"]
    gather = node("gather", "gather", join_mode=mode, variables=["a.body", "b.body"])
    gather = gather.model_copy(update={"data": {**gather.data, **data}})
    return graph(
        "gathering",
        [start(), *calls, gather, end(out="a.body")],
        *("start > a", "start > b", "start > c"),
        *("a > gather", "b > gather", "c > gather", "gather > end"),
    )


ANY: dict[str, Any] = {"type": "any"}
TWO: dict[str, Any] = {"type": "n_of_m", "n": 2}


def test_a_gather_that_is_started_from_goes_by_what_had_arrived_and_wakes_nobody() -> None:
    run = Run(gathering(ANY)).ends("a", body="x")
    cut = run.fork("gather")
    assert cut.reused == ("start", "a")
    assert cut.starts == ("gather",)
    driver, effects = begun(run, cut)
    assert not running(run, effects)
    assert driver.state.phase == "finished"


def test_what_a_gather_had_given_up_stays_so_behind_it() -> None:
    run = Run(gathering(ANY)).ends("a", body="x")
    cut = run.fork("end")
    assert cut.reused == ("start", "a", "gather")
    assert cut.starts == ("end",)


def test_a_branch_that_is_started_from_starts_what_its_gather_had_given_up_for_it() -> None:
    run = Run(gathering(TWO)).ends("a", body="x").ends("b", body="y")
    assert run.driver.state.phase == "finished"
    cut = run.fork("b")
    assert cut.reused == ("start", "a")
    assert set(cut.starts) == {"b", "c"}  # either may now be the second


def test_a_gather_whose_time_was_up_is_reused_like_any() -> None:
    run = Run(gathering({"type": "all"}, timeout_secs=9)).ends("a", body="x").time_is_up("gather")
    assert run.driver.state.phase == "finished"
    assert run.fork("end").reused == ("start", "a", "gather")
    cut = run.fork("gather")
    assert (cut.reused, cut.starts) == (("start", "a"), ("gather",))


def test_the_time_limit_of_a_gather_that_waits_begins_anew() -> None:
    run = Run(gathering({"type": "all"}, timeout_secs=9)).ends("a", body="x")
    cut = run.fork()
    assert set(cut.starts) == {"b", "c"}
    _, effects = begun(run, cut)
    (timer,) = [effect for effect in effects if isinstance(effect, StartTimer)]
    assert (timer.kind, timer.delay_ms) == ("join", 8_990)


# ---- what starts again


def test_a_node_that_waited_for_its_next_attempt_starts_with_the_first() -> None:
    call = http("a", "http://x/", retry=RetryConfig(max_retries=3, retry_interval=60_000))
    run = Run(chain("retry", start(), call, end(out="a.body"))).fails("a")
    cut = run.fork()
    assert not cut.state.running
    _, effects = begun(run, cut)
    assert running(run, effects) == {("a", 1)}


def test_what_was_written_from_outside_stays_if_it_came_before_the_node() -> None:
    schema = chain("calls", start(), http("a", "http://x/"), http("b", "http://x/"), end(v="env.v"))
    run = Run(schema)
    run.feed(VariablesUpdated(((("env", "v"), 1),), 1000)).ends("a", body="x")
    run.feed(VariablesUpdated(((("env", "v"), 2),), 1000)).ends("b", body="y")
    assert run.fork("end").state.pool.get(("env", "v")) == 2
    assert run.fork("b").state.pool.get(("env", "v")) == 1
    assert run.fork("a").state.pool.get(("env", "v")) is None


def test_counters_are_those_of_what_is_reused_and_the_rest_is_as_of_a_fresh_run() -> None:
    schema = chain("calls", start("n"), http("a", "http://x/"), end(out="a.body"))
    run = Run(schema, n=1).ends("a", body="x")
    state = run.fork("a").state
    assert (state.phase, state.steps, state.events, state.exceptions) == ("new", 1, 0, 0)
    assert (state.started_at, state.now, state.usage, state.outputs) == (NOW, NOW, None, {})
    assert state.ids == IdSequence("fork", None, 1)
    assert state.pool.to_json().keys() == {"sys", "env", "conversation", "start"}
    assert run.fork("end", config=EngineConfig(max_steps=7)).state.config.max_steps == 7


# ---- changed files


def calls(**urls: str) -> list[NodeSpec]:
    return [http(name, urls.get(name, "http://x/")) for name in ("a", "b")]


CALLS = chain("calls", start("n"), *calls(), end(out="b.body", first="a.body"))


def changed(node_id: str, **data: Any) -> WorkflowSchema:
    nodes = tuple(
        n.model_copy(update={"data": {**n.data, **data}, "title": data.get("title", n.title)})
        if n.id == node_id
        else n
        for n in CALLS.nodes
    )
    return CALLS.model_copy(update={"nodes": nodes})


def half() -> Run:
    """A run of CALLS whose second call has failed."""
    return Run(CALLS).ends("a", body="x").fails("b")


def test_what_has_not_finished_may_change_as_it_likes() -> None:
    schema = changed("b", url="http://other/")
    assert half().fork(None, schema).starts == ("b",)
    more = graph(
        "more",
        [start("n"), *calls(), http("new", "http://x/"), end(out="new.body", first="a.body")],
        *("start > a", "a > b", "b > new", "a > new", "new > end"),
    )
    assert half().fork(None, more).starts == ("b",)


def test_titles_and_descriptions_are_no_change() -> None:
    schema = changed("a", title="Another", desc="words", selected=True)
    assert half().fork(None, schema).report.diagnostics == ()


def test_data_type_and_edges_of_a_finished_node_may_not_change() -> None:
    assert half().refusal(None, changed("a", url="http://other/")) == [("F013", "a")]
    other_type = (start("n"), text("a", "t"), *calls()[1:], end(out="b.body"))
    assert half().refusal(None, chain("calls", *other_type)) == [("F012", "a")]
    between = (start("n"), text("new", "t"), *calls(), end(out="b.body"))
    assert half().refusal(None, chain("calls", *between)) == [("F014", "a"), ("F015", "a")]


def test_a_finished_node_may_go_if_nobody_reads_it_any_more() -> None:
    gone = (start("n"), *calls()[1:], end(out="b.body"))
    assert half().fork(None, chain("calls", *gone)).reused == ("start",)
    read = (start("n"), *calls()[1:], end(out="b.body", first="a.body"))
    assert half().refusal(None, chain("calls", *read)) == [("F011", "a")]


def test_a_node_that_the_file_no_longer_has_is_no_place_to_start_from() -> None:
    gone = (start("n"), *calls()[:1], end(out="a.body"))
    assert half().refusal("b", chain("calls", *gone)) == [("F001", "b")]


def test_force_warns_where_a_result_can_be_kept_and_still_refuses_where_it_cannot() -> None:
    run = half()
    forced = run.fork(None, changed("a", url="http://other/"), force=True)
    assert [(f.level, f.code) for f in forced.report.diagnostics] == [("warning", "F013")]
    assert forced.state.pool.get(("a", "body")) == "x"
    between = (start("n"), text("new", "t"), *calls(), end(out="b.body"))
    with pytest.raises(ValidationFailed) as refused:
        run.fork(None, chain("calls", *between), force=True)
    assert [found.code for found in refused.value.report.errors] == ["F015"]


def test_another_dialect_is_refused() -> None:
    assert ("F010", None) in half().refusal(None, CALLS.model_copy(update={"dialect": "dify"}))


def test_a_branch_that_was_not_taken_may_go_from_before_a_finished_join() -> None:
    nodes = [
        start("n"),
        choice("pick", "start.n", "1"),
        text("yes", "y"),
        text("no", "n"),
        first_of("join", "yes.output"),
        http("a", "http://x/"),
        end(out="a.body"),
    ]
    drawn = ("start > pick", "pick:yes > yes", "yes > join", "join > a", "a > end")
    run = Run(graph("b", nodes, *drawn, "pick:false > no", "no > join"), n="1").fails("a")
    without = graph("b", [n for n in nodes if n.id != "no"], *drawn)
    assert run.fork(None, without).starts == ("a",)


def test_a_chosen_branch_without_an_edge_is_named() -> None:
    nodes = [start("n"), choice("pick", "start.n", "1"), text("yes", "y"), end(out="yes.output")]
    drawn = ("start > pick", "pick:yes > yes", "yes > end")
    run = Run(graph("b", nodes, *drawn), n="2")
    assert run.driver.state.failure is not None
    assert run.refusal() == [("F016", "pick")]
    mended = graph("b", nodes, *drawn, "pick:false > end")
    assert run.fork(None, mended).starts == ("end",)


def iterating(template: str, title: str = "T") -> WorkflowSchema:
    body: dict[str, Any] = {
        "nodes": [
            {"id": "s", "data": {"type": "start", "title": "S"}},
            {
                "id": "t",
                "data": {"type": "template-transform", "title": title, "template": template},
            },
            {"id": "e", "data": {"type": "end", "title": "E", "outputs": []}},
        ],
        "edges": [{"source": "s", "target": "t"}, {"source": "t", "target": "e"}],
    }
    data: dict[str, Any] = {"input_selector": ["start", "n"], "output_variable": "all"}
    each = node("each", "iteration", sub_graph=body, **data)
    return chain("each", start("n"), each, http("a", "http://x/"), end(out="a.body"))


def test_a_body_counts_as_a_part_of_its_container_but_not_its_titles() -> None:
    run = Run(iterating("one"), n=[]).fails("a")
    assert run.fork(None, iterating("one", title="Other")).starts == ("a",)
    assert run.refusal(None, iterating("two")) == [("F013", "each")]
    assert run.refusal("t") == [("F002", "t")]


def test_a_mocked_node_is_what_its_mock_says() -> None:
    mocks = {"a": MockNode(outputs={"body": "mocked"})}
    run = Run(CALLS, mocks=mocks).fails("b")
    assert run.fork(None, changed("a", url="http://other/")).report.diagnostics == ()


# ---- variables


def with_env(*variables: EnvironmentVariable) -> WorkflowSchema:
    return CALLS.model_copy(update={"environment_variables": variables})


def test_changed_and_new_environment_variables_of_the_file_count() -> None:
    old, new = EnvironmentVariable(name="x", value=1), EnvironmentVariable(name="x", value=2)
    run = Run(with_env(old)).ends("a").fails("b")
    more = with_env(new, EnvironmentVariable(name="y", value=3))
    assert run.fork(None, more).state.pool.namespace("env") == {"x": 2, "y": 3}


def test_a_secret_stays_where_the_run_had_it_unless_the_file_brings_it_along() -> None:
    secret = EnvironmentVariable(name="key", value_type="secret")
    old = with_env(secret)
    new = changed("b", url="http://other/").model_copy(update={"environment_variables": (secret,)})
    run = Run(old).ends("a").fails("b")
    assert run.fork(None, new).state.pool.get(("env", "key")) == reference("key", old.hash)
    fresh = run.fork(None, new, secrets=frozenset({"key"}))
    assert fresh.state.pool.get(("env", "key")) == reference("key", new.hash)
    with pytest.raises(ValidationFailed) as refused:
        run.fork(values=((("env", "key"), "s3cret"),))
    assert [found.code for found in refused.value.report.errors] == ["F008"]
    assert "s3cret" not in str(refused.value.report)


def test_setting_what_runs_again_is_warned_of() -> None:
    cut = half().fork(values=((("b", "body"), "z"), (("a", "body"), "mine")))
    assert [(f.code, f.node_id) for f in cut.report.diagnostics] == [("F007", "b")]
    assert cut.state.pool.get(("a", "body")) == "mine"


# ---- surroundings


def codes_of(old: RunInput, new: RunInput) -> list[str]:
    return [found.code for found in run_changes(old, new)]


def test_lost_executors_weaker_security_and_other_limits_are_found() -> None:
    plain = RunInput(schema_text="{}")
    owning = plain.model_copy(update={"executors": {"mine": ExecutorInfo()}})
    strict = plain.model_copy(update={"policy": Policy(security_level="strict")})
    standard = plain.model_copy(update={"policy": Policy(security_level="standard")})
    limited = plain.model_copy(update={"config": EngineConfig(max_steps=5)})
    assert codes_of(plain, plain) == []
    assert codes_of(owning, plain) == ["F020"]
    assert codes_of(plain, owning) == []
    assert codes_of(strict, standard) == codes_of(strict, plain) == ["F021"]
    assert codes_of(standard, strict) == codes_of(plain, strict) == []
    assert codes_of(plain, limited) == ["F022"]


# ---- containers and streams


def test_what_bodies_wrote_and_answered_belongs_to_their_container() -> None:
    run = Run(iterating("t"), n=[1])
    (chunk,) = [effect for effect in run.effects if isinstance(effect, StartChunk)]
    writes = (PoolWrite(selector=("conversation", "x"), value=7),)
    outcome = ItemOutcome(value="t")
    end_ = ChunkEnd(outcomes=(outcome,), writes=writes, answer="said", exceptions=2)
    run.feed(ChunkFinished(chunk.node, chunk.attempt, chunk.start, end_, 1000))
    assert run.driver.state.exceptions == 2
    kept = run.fork("a").state
    assert kept.pool.get(("conversation", "x")) == 7
    assert (kept.exceptions, kept.outputs) == (2, {"answer": "said"})
    dropped = run.fork("each").state
    assert dropped.pool.get(("conversation", "x")) is None
    assert (dropped.exceptions, dropped.outputs) == (0, {})


def test_a_container_that_had_not_finished_leaves_nothing() -> None:
    run = Run(iterating("t"), n=[1, 2])
    (chunk, *_) = [effect for effect in run.effects if isinstance(effect, StartChunk)]
    lost = ChunkEnd(
        outcomes=(ItemOutcome(error="broken"),),
        writes=(PoolWrite(selector=("conversation", "x"), value=7),),
        error="broken",
    )
    run.feed(ChunkFinished(chunk.node, chunk.attempt, chunk.start, lost, 1000))
    cut = run.fork()
    assert cut.starts == ("each",)
    assert cut.state.pool.get(("conversation", "x")) is None
    assert not cut.state.repeats


def test_an_answer_of_a_fork_is_read_in_the_pieces_of_the_model_that_is_reused() -> None:
    model = node("llm", "llm", model={"provider": "p", "name": "m"}, stream=True)
    prompt = [{"role": "user", "text": "hi"}]
    model = model.model_copy(update={"data": {**model.data, "prompt_template": prompt}})
    answer = node("answer", "answer", answer="{{#llm.text#}}")
    schema = chain("stream", start(), model, answer).model_copy(update={"dialect": "dify"})
    run = Run(schema)
    run.ends("llm", text="abc", **chunks_of("text", ("a", "bc")))
    cut = run.fork("answer")
    driver = Driver(run.compiled, cut.state, composer(run.compiled, "fork"))
    emitted = [e.event for e in driver.feed(Forked("run", "answer", NOW)) if isinstance(e, Emit)]
    pieces = [e.data["chunk"] for e in emitted if e.type == "node_run_stream_chunk"]
    assert [piece for piece in pieces if piece] == ["a", "bc"]


# ---- forks of forks


def test_a_fork_of_a_fork_has_what_both_have_reused() -> None:
    nodes = [start("n"), *calls(), http("c", "http://x/"), end(out="c.body", first="a.body")]
    run = Run(chain("three", *nodes)).ends("a", body="x").ends("b", body="y").fails("c")
    cut = run.fork("b")
    notes: list[Note] = []
    driver = Retracing(run.compiled, cut.state, notes)
    driver.feed(Forked("run", "b", NOW))
    index = run.compiled.plan.index_of["b"]
    driver.feed(NodeSucceeded(index, 1, NodeRunResult(outputs={"body": "z"}), NOW))
    past = Past(run.compiled, cut.state, driver.state, tuple(notes))
    again = fork(past, run.compiled, Wish("c"), IdSequence("again"))
    assert again.reused == ("start", "a", "b")
    assert again.state.pool.get(("b", "body")) == "z"
    earlier = fork(past, run.compiled, Wish("a"), IdSequence("again"))
    assert earlier.reused == ("start",)
    assert earlier.state.pool.to_json().keys() == {"sys", "env", "conversation", "start"}


def test_a_fork_of_a_fork_reuses_a_node_that_succeeded_with_only_its_fail_branch_drawn() -> None:
    calls = [http("a", "http://x/", strategy=FAIL_BRANCH), http("b", "http://x/")]
    schema = graph(
        "spared", [start(), *calls, http("c", "http://x/"), end()],
        "start > a", "start > b", "a:fail-branch > c", "b > end", "c > end",
    )  # fmt: skip
    run = Run(schema).ends("a").ends("b")
    cut = run.fork("b")
    notes: list[Note] = []
    driver = Retracing(run.compiled, cut.state, notes)
    driver.feed(Forked("run", "", NOW + 10))
    past = Past(run.compiled, cut.state, driver.state, tuple(notes))
    again = fork(past, run.compiled, Wish("b", now=NOW), IdSequence("again"))
    assert "a" in again.reused
    assert again.starts == ("b",)

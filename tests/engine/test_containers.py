"""Containers in a run that is fed by hand: their time limits, their waits, their chunks."""

from __future__ import annotations

from typing import Any

from tests.workflows.drawing import (
    begin,
    body,
    chain,
    code,
    end,
    finish,
    form,
    graph,
    http,
    iteration,
    start,
)
from xworkflow.domain.commands import (
    CancelChunk,
    Emit,
    FinishRun,
    StartChunk,
    StartNode,
    StartTimer,
)
from xworkflow.domain.facts import (
    ChunkFinished,
    DrainRequested,
    InputReceived,
    NodeSucceeded,
    Resumed,
    TimerFired,
)
from xworkflow.domain.forms import HumanAnswer
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.repeats import ChunkEnd, ItemOutcome
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.wire import RunInput, Variables
from xworkflow.engine.carrier import SingleRun
from xworkflow.engine.start import carrier_of, compiled_of

DAY = 86_400_000
BODY = body(begin("s"), http("call", "http://x/"), finish("e", n="call.body"))


class Fed:
    """A whole run; ``effects`` are those of the last fact."""

    def __init__(self, schema: WorkflowSchema, **parts: Any) -> None:
        variables = Variables(user_inputs={"list": [1, 2], "n": 1})
        run = RunInput(schema_text=schema.text, variables=variables, **parts)
        carrier = carrier_of(run, compiled_of(run), "run")
        assert isinstance(carrier, SingleRun)
        self.run, self.carrier = run, carrier
        self.effects = [effect for _, effect in carrier.begin(0)]

    def feed(self, fact: Any) -> Fed:
        self.effects = [effect for _, effect in self.carrier.feed(0, fact)]
        return self

    def continue_as_new(self, at: int) -> Fed:
        run = self.run.model_copy(update={"state": self.carrier.dump()})
        carrier = carrier_of(run, self.carrier.compiled, "run")
        assert isinstance(carrier, SingleRun)
        self.carrier = carrier
        return self.feed(Resumed(at))

    def index(self, name: str) -> int:
        return self.carrier.compiled.plan.index_of[name]

    def chunk(self, name: str, at: int, first: int = 0, **end: Any) -> Fed:
        ended = ChunkEnd(outcomes=(ItemOutcome(value={}),), **end)
        return self.feed(ChunkFinished(self.index(name), 1, first, ended, at))

    def of(self, kind: type[Any]) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def kinds(self) -> list[str]:
        return [effect.event.type for effect in self.of(Emit)]


def test_the_time_limit_of_a_container_goes_on_in_the_next_history() -> None:
    limited = iteration("it", "start.list", BODY).model_copy(update={"timeout_secs": 100})
    run = Fed(chain("limited", start("list"), limited, end(out="it.out")))
    (limit,) = run.of(StartTimer)
    assert (limit.kind, limit.delay_ms) == ("limit", 100_000)
    run.feed(DrainRequested(10_000)).chunk("it", 20_000).continue_as_new(40_000)
    (again,) = run.of(StartTimer)
    assert (again.kind, again.delay_ms) == ("limit", 60_000)
    run.feed(TimerFired(again.node, again.attempt, 100_000, again.kind))
    assert run.of(CancelChunk)
    assert run.of(FinishRun)[0].result.error.text.endswith("timed out after 100s")


def test_a_sub_graph_that_somebody_stopped_by_itself_fails_its_container() -> None:
    """The run was not told: without a failure it would wait for the rest for ever."""
    run = Fed(chain("stopped", start("list"), iteration("it", "start.list", BODY), end()))
    run.feed(ChunkFinished(run.index("it"), 1, 0, ChunkEnd(outcomes=(), stopped=True), 5))
    (finished,) = run.of(FinishRun)
    assert finished.result.status == "failed"
    assert "was stopped" in finished.result.error.text


def test_waits_inside_of_containers_do_not_use_up_the_runs_time() -> None:
    """A form in the body is answered after a day, while another one still waits outside."""
    asking = body(begin("s"), form("ask", "name"), finish("e", n="ask.name"))
    run = Fed(
        graph(
            "waiting",
            [
                start("list"),
                iteration("it", "start.list", asking),
                form("other", "why"),
                http("then", "http://x/"),
                end(),
            ],
            "start > it",
            "start > other",
            "it > then",
            "then > end",
            "other > end",
        ),
        config=EngineConfig(max_execution_time_secs=60),
    )
    run.chunk("it", DAY, waited_ms=DAY - 1_000).chunk("it", DAY + 1, first=1)
    assert not run.of(FinishRun), run.of(FinishRun)
    assert run.kinds[-1] == "node_run_started"
    then = NodeSucceeded(run.index("then"), 1, NodeRunResult(), DAY + 2)
    run.feed(then)
    answered = NodeRunResult(outputs={"why": "so"})
    run.feed(InputReceived(run.index("other"), HumanAnswer(), answered, 3 * DAY))
    (finished,) = run.of(FinishRun)
    assert finished.result.status == "completed"
    assert finished.result.elapsed_ms < 60_000


def test_a_region_opens_no_container_and_asks_nobody() -> None:
    """Its pool is cut to what its own nodes read: a list would be missing there."""
    schema = graph(
        "region",
        [
            start("list", "n"),
            code("c"),
            iteration("it", "start.list", BODY),
            form("ask", "why"),
            end(),
        ],
        "start > c",
        "c > it",
        "c > ask",
        "it > end",
        "ask > end",
    )
    run = Fed(schema)
    state = run.carrier.dump_for_region([(0, started) for started in run.of(StartNode)])
    assert "list" not in state["pool"].get("start", {})
    inner = carrier_of(run.run.model_copy(update={"state": state}), run.carrier.compiled, "run",
                       in_region=True)  # fmt: skip
    done = NodeSucceeded(run.index("c"), 1, NodeRunResult(outputs={"n": 2}), 5)
    kinds = [e.event.type for _, e in inner.feed(0, done) if isinstance(e, Emit)]
    assert kinds == ["node_run_succeeded", "node_run_started", "node_run_started"]
    assert run.feed(done).of(StartChunk)

"""``decide(plan, state, fact) → (state, commands)``: the state machine of a run.

Theory of operation. A run is a fold of ``decide`` over the facts that happen to it. The function is
pure: the same plan, state and fact give the same answer in a workflow, in its replay, in a local
region, in a reader of a history and in a test. Everything that moves a run stands in this file:

=================  =====================================================================
fact               what it does
=================  =====================================================================
RunStarted         the root becomes ready
NodeSucceeded      outputs into the pool, edges taken or skipped, successors become ready
NodeFailed         another attempt (6.3), or the error strategy (6.2), or the run fails
TimerFired         the next attempt starts
HandlerFinished    the failed run ends, recovered or not (6.5)
AbortRequested     the run fails with ``Workflow aborted: …``; its error handler is stopped
DrainRequested     nothing new starts; once nothing but waits is left, ContinueAsNew
Resumed            a drained run goes on
=================  =====================================================================

After each fact every ready node is started, up to the concurrency limit (5.3). Facts about attempts
that are not running (late, repeated, of a failed run) change nothing, and do not move the run's
clock either: a reader of a history sees some that the workflow never did. Section numbers are those
of spec/graph.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from xworkflow.domain import events
from xworkflow.domain.commands import (
    CancelHandler,
    CancelNode,
    Command,
    ContinueAsNew,
    Emit,
    FinishRun,
    StartHandler,
    StartNode,
    StartTimer,
)
from xworkflow.domain.events import Content, GraphEngineEvent
from xworkflow.domain.facts import (
    AbortRequested,
    DrainRequested,
    Fact,
    HandlerFinished,
    NodeFailed,
    NodeSucceeded,
    Resumed,
    RunStarted,
    TimerFired,
)
from xworkflow.domain.outcome import ErrorType, RunFailure, RunResult, RunStatus
from xworkflow.domain.plan import FAIL_BRANCH, SOURCE_HANDLES, Plan, PlanNode
from xworkflow.domain.results import LlmUsage, NodeRunResult, NodeStatus
from xworkflow.domain.retry import delay_ms, may_retry
from xworkflow.domain.state import EdgePhase, NodePhase, Phase, Running, RunState
from xworkflow.domain.values import JsonValue, display
from xworkflow.errors import NodeFailure

_PENDING, _QUEUED, _RUNNING = NodePhase.PENDING, NodePhase.QUEUED, NodePhase.RUNNING
_TAKEN, _SKIPPED = NodePhase.TAKEN, NodePhase.SKIPPED
_CANCELLED, _FAILED = NodePhase.CANCELLED, NodePhase.FAILED
_EDGE_PENDING, _EDGE_TAKEN, _EDGE_SKIPPED = EdgePhase.PENDING, EdgePhase.TAKEN, EdgePhase.SKIPPED


def decide(plan: Plan, state: RunState, fact: Fact) -> tuple[RunState, list[Command]]:
    """Take one fact in. Pure; never raises for any fact (a wrong one changes nothing)."""
    turn = _Turn(plan, state)
    _HANDLERS[type(fact)](turn, fact)
    turn.schedule()
    return turn.freeze(), turn.commands


class _Turn:
    """The working copy of a state while one fact is taken in."""

    __slots__ = (
        "commands",
        "draining",
        "edges",
        "exceptions",
        "failure",
        "ids",
        "nodes",
        "now",
        "outputs",
        "phase",
        "plan",
        "pool",
        "ready",
        "running",
        "seq",
        "started_at",
        "state",
        "steps",
        "usage",
    )

    def __init__(self, plan: Plan, state: RunState) -> None:
        self.plan = plan
        self.state = state
        self.commands: list[Command] = []
        self.phase: Phase = state.phase
        self.nodes = bytearray(state.nodes)
        self.edges = bytearray(state.edges)
        self.pool = state.pool
        self.ids = state.ids
        self.ready = list(state.ready)
        self.running = state.running
        self.outputs = state.outputs
        self.usage = state.usage
        self.steps = state.steps
        self.exceptions = state.exceptions
        self.seq = state.events
        self.started_at = state.started_at
        self.now = state.now
        self.draining = state.draining
        self.failure = state.failure

    def freeze(self) -> RunState:
        state = self.state
        return RunState(
            phase=self.phase,
            nodes=bytes(self.nodes),
            edges=bytes(self.edges),
            pool=self.pool,
            config=state.config,
            ids=self.ids,
            ready=tuple(self.ready),
            running=self.running,
            outputs=self.outputs,
            usage=self.usage,
            steps=self.steps,
            exceptions=self.exceptions,
            events=self.seq,
            started_at=self.started_at,
            now=self.now,
            fixed_time=state.fixed_time,
            draining=self.draining,
            failure=self.failure,
        )

    # ---- time, ids, events

    def see(self, at: int) -> None:
        """Clocks of several machines differ; a run's own time never goes back."""
        if not self.state.fixed_time and at > self.now:
            self.now = at

    def next_id(self) -> str:
        taken, self.ids = self.ids.take()
        return taken

    def emit(self, content: Content) -> None:
        type_, data = content
        self.commands.append(Emit(GraphEngineEvent(self.seq, self.now, type_, data)))
        self.seq += 1

    # ---- start and end of the run

    def start(self, fact: RunStarted) -> None:
        if self.phase == "new":
            self.begin(fact.at)
            self.enqueue(self.plan.root, -1)

    def begin(self, at: int) -> None:
        self.see(at)
        self.phase = "running"
        self.started_at = self.now
        self.emit(events.graph_run_started())

    def drain(self, fact: DrainRequested) -> None:
        self.see(fact.at)
        self.draining = self.phase == "running"

    def resume(self, fact: Resumed) -> None:
        """Go on in a new history: the waits of the old one are started again with what is left."""
        self.see(fact.at)
        self.draining = False
        for key, run in self.running.items():
            if run.due_at is not None:
                left = max(1, run.due_at - self.now)
                self.commands.append(StartTimer(int(key), run.attempt, left))

    def abort(self, fact: AbortRequested) -> None:
        if self.phase == "handling":
            self.commands.append(CancelHandler())  # the run has failed already
        elif self.phase == "new":
            self.begin(fact.at)  # it waits for its admission, and never starts a node
        if self.phase != "running":
            return
        self.see(fact.at)
        reason = fact.reason or "aborted by command"
        self.emit(events.graph_run_aborted(reason, self.outputs))
        self.fail(f"Workflow aborted: {reason}", "Aborted")

    def fail(self, text: str, error_type: ErrorType, node: PlanNode | None = None) -> None:
        """End the run with an error: drop what runs, then the handler, if there is one (6.5)."""
        self.failure = RunFailure(
            text=text,
            error_type=error_type,
            node_id=node.id if node else "",
            node_type=node.type if node else "",
        )
        for key, run in self.running.items():
            self.nodes[int(key)] = _CANCELLED
            if not run.waiting:
                self.commands.append(CancelNode(int(key), run.attempt))
        for index, _ in self.ready:
            self.nodes[index] = _CANCELLED
        self.running = type(self.running)()
        self.ready.clear()
        if self.plan.error_handler is None:
            self.finish("aborted" if error_type == "Aborted" else "failed", self.outputs)
            return
        self.phase = "handling"
        self.pool = self.pool.extend("sys", _error_variables(self.failure, self.outputs))
        self.emit(events.error_handler_started(text))
        self.commands.append(StartHandler())

    def handler_finished(self, fact: HandlerFinished) -> None:
        if self.phase != "handling" or self.failure is None or self.plan.error_handler is None:
            return
        self.see(fact.at)
        if fact.error is None:
            self.emit(events.error_handler_succeeded(fact.outputs))
        else:
            self.emit(events.error_handler_failed(fact.error))
        if fact.error is None and self.plan.error_handler.mode == "recover":
            self.finish("failed_with_recovery", fact.outputs)
        else:
            self.finish(
                "aborted" if self.failure.error_type == "Aborted" else "failed", self.outputs
            )

    def finish(self, status: RunStatus, outputs: dict[str, JsonValue]) -> None:
        self.phase = "finished"
        result = RunResult(
            status=status,
            outputs=outputs,
            error=self.failure,
            exceptions=self.exceptions,
            steps=self.steps,
            elapsed_ms=max(0, self.now - self.started_at),
            usage=self.usage,
        )
        self.commands.append(FinishRun(result))

    # ---- one node

    def succeeded(self, fact: NodeSucceeded) -> None:
        run = self.take_running(fact)
        if run is None:
            return
        node, result = self.plan.nodes[fact.node], fact.result
        if result.llm_usage is not None:
            self.usage = _added(self.usage, result.llm_usage)
        self.write(node, result)
        if result.status is NodeStatus.EXCEPTION and result.error is not None:
            self.exceptions += 1
            self.emit(events.node_run_exception(node, run.execution_id, result.error))
        else:
            self.emit(events.node_run_succeeded(node, run.execution_id, result.outputs))
        self.advance(node, result.edge_source_handle)

    def failed(self, fact: NodeFailed) -> None:
        run = self.take_running(fact)
        if run is None:
            return
        node, failure = self.plan.nodes[fact.node], fact.failure
        if may_retry(node.retry, failure, run.attempt):
            self.retry(node, run, failure)
        elif node.error_strategy.type == "none":
            self.nodes[node.index] = _FAILED
            self.emit(events.node_run_failed(node, run.execution_id, failure))
            text = f"Node execution error: node={node.id}, error={failure.text}"
            self.emit(events.graph_run_failed(text, self.exceptions))
            self.fail(text, "NodeExecutionError", node)
        else:
            self.tolerate(node, run, failure)

    def retry(self, node: PlanNode, run: Running, failure: NodeFailure) -> None:
        assert node.retry is not None  # noqa: S101 - may_retry said so
        self.emit(events.node_run_retry(node, run.execution_id, failure, run.attempt))
        wait = delay_ms(node.retry, failure, run.attempt, run.execution_id)
        # a draining run holds the attempt back, as if it waited, and starts its timer when resumed
        due = self.now + wait if wait > 0 or self.draining else None
        again = Running(run.attempt + 1, run.execution_id, due)
        self.running = self.running.set(str(node.index), again)
        if not again.waiting:
            self.commands.append(StartNode(node.index, again.attempt, again.execution_id))
        elif not self.draining:
            self.commands.append(StartTimer(node.index, again.attempt, wait))

    def timer_fired(self, fact: TimerFired) -> None:
        run = self.running.get(str(fact.node))
        if run is None or not run.waiting or run.attempt != fact.attempt or self.draining:
            return  # in a draining run the attempt would be lost with its history: resume() has it
        self.see(fact.at)
        self.running = self.running.set(str(fact.node), replace(run, due_at=None))
        self.commands.append(StartNode(fact.node, run.attempt, run.execution_id))

    def tolerate(self, node: PlanNode, run: Running, failure: NodeFailure) -> None:
        """The error strategy makes an exception of the failure (6.2). Dify's two extra outputs are
        added in both dialects; no case of the catalogue forbids it."""
        strategy = node.error_strategy
        outputs: dict[str, JsonValue] = {"error_message": failure.text, "error_type": failure.code}
        if strategy.type == "default-value":
            outputs = {**outputs, **strategy.default_value}
        self.exceptions += 1
        self.write(node, NodeRunResult(outputs=outputs))
        self.emit(events.node_run_exception(node, run.execution_id, failure))
        self.advance(node, FAIL_BRANCH if strategy.type == FAIL_BRANCH else None)

    def take_running(self, fact: NodeSucceeded | NodeFailed) -> Running | None:
        """Take a node out of what runs; None for an attempt that nobody waits for."""
        run = self.running.get(str(fact.node))
        if run is None or run.waiting or run.attempt != fact.attempt:
            return None
        self.see(fact.at)
        self.running = self.running.without(str(fact.node))
        return run

    def run_outputs(self, node: PlanNode, added: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """The run's outputs with those of one more node: the later one wins (5.5).

        Dify's answers follow one another instead, nothing between them, as its chat shows them.
        """
        merged = {**self.outputs, **added}
        before = self.outputs.get("answer")
        if self.plan.dialect == "dify" and node.type == "answer" and before is not None:
            merged["answer"] = display(before) + display(added.get("answer"))
        return merged

    def write(self, node: PlanNode, result: NodeRunResult) -> None:
        for write in result.writes:
            self.pool = self.pool.set(write.selector, write.value)
        if result.outputs:
            self.pool = self.pool.extend(node.id, result.outputs)
            if node.is_output:
                self.outputs = self.run_outputs(node, result.outputs)

    # ---- the graph

    def advance(self, node: PlanNode, handle: str | None) -> None:
        """Resolve the node's out-edges, and all that follows from it (5.3)."""
        self.nodes[node.index] = _TAKEN
        if not node.is_branch:
            self.resolve(node.index, node.out_edges, ())
            return
        default = handle is None and self.may_omit_handle(node)
        wanted = SOURCE_HANDLES if default else (handle,)
        taken: list[int] = []
        skipped: list[int] = []
        for edge in node.out_edges:
            (taken if self.plan.handles[edge] in wanted else skipped).append(edge)
        if not taken and not default and self.plan.dialect == "native":
            self.fail(_no_edge(node, handle), "InternalError")
            return
        self.resolve(node.index, taken, skipped)

    def may_omit_handle(self, node: PlanNode) -> bool:
        """Whether a branch node that names no handle takes its source edges, if it has any: one
        with a fail-branch that succeeds (6.2), and in Dify's dialect any."""
        return node.error_strategy.type == FAIL_BRANCH or self.plan.dialect == "dify"

    def resolve(self, source: int, taken: Iterable[int], skipped: Iterable[int]) -> None:
        for edge in taken:
            self.edges[edge] = _EDGE_TAKEN
        for edge in skipped:
            self.edges[edge] = _EDGE_SKIPPED
        pending = [self.plan.targets[e] for e in (*taken, *skipped)]
        pending.reverse()
        while pending:  # a stack of nodes one of whose in-edges was resolved
            target = pending.pop()
            if self.nodes[target] != _PENDING:
                continue
            ins = self.plan.nodes[target].in_edges
            if self.edges.find(_EDGE_PENDING, ins.start, ins.stop) >= 0:
                continue
            if self.edges.find(_EDGE_TAKEN, ins.start, ins.stop) >= 0:
                self.enqueue(target, source)
                continue
            self.nodes[target] = _SKIPPED
            for edge in reversed(self.plan.nodes[target].out_edges):
                self.edges[edge] = _EDGE_SKIPPED
                pending.append(self.plan.targets[edge])

    def enqueue(self, index: int, predecessor: int) -> None:
        self.nodes[index] = _QUEUED
        self.ready.append((index, predecessor))

    # ---- starting what is ready

    def schedule(self) -> None:
        """Start ready nodes, the last first, up to the limit; end the run when nothing is left."""
        if self.phase != "running":
            return
        if self.ready and not self.draining:
            self.start_ready()
        if self.phase != "running":
            return
        if self.draining:
            if all(run.waiting for run in self.running.values()):
                self.commands.append(ContinueAsNew())
        elif not self.ready and not len(self.running):
            self.complete()

    def start_ready(self) -> None:
        group_id: str | None = None
        limit = self.state.config.concurrency
        while self.ready and (limit == 0 or len(self.running) < limit):
            if not self.may_start():
                return
            group_id = group_id or self.next_id()
            index, predecessor = self.ready.pop()
            self.start_node(index, predecessor, group_id)

    def may_start(self) -> bool:
        """The limits of the run, checked before each start (5.1)."""
        config = self.state.config
        if self.steps >= config.max_steps:
            return self.over_limit(f"Max steps exceeded: {config.max_steps}", "MaxStepsExceeded")
        limit = config.max_execution_time_secs
        if limit is not None and self.now - self.started_at > limit * 1000:
            return self.over_limit("Execution timeout", "Timeout")
        return True

    def over_limit(self, text: str, error_type: ErrorType) -> bool:
        self.emit(events.graph_run_failed(text, self.exceptions))
        self.fail(text, error_type)
        return False

    def start_node(self, index: int, predecessor: int, group_id: str) -> None:
        node = self.plan.nodes[index]
        execution_id = self.next_id()
        self.steps += 1
        self.nodes[index] = _RUNNING
        self.running = self.running.set(str(index), Running(1, execution_id))
        before = self.plan.nodes[predecessor].id if predecessor >= 0 else None
        self.emit(events.node_run_started(node, execution_id, before, group_id))
        self.commands.append(StartNode(index, 1, execution_id))

    def complete(self) -> None:
        if self.exceptions:
            self.emit(events.graph_run_partial_succeeded(self.exceptions, self.outputs))
        else:
            self.emit(events.graph_run_succeeded(self.outputs))
        self.finish("completed", self.outputs)


_HANDLERS: dict[type[Any], Callable[[_Turn, Any], None]] = {
    RunStarted: _Turn.start,
    NodeSucceeded: _Turn.succeeded,
    NodeFailed: _Turn.failed,
    TimerFired: _Turn.timer_fired,
    HandlerFinished: _Turn.handler_finished,
    AbortRequested: _Turn.abort,
    DrainRequested: _Turn.drain,
    Resumed: _Turn.resume,
}


def _error_variables(failure: RunFailure, outputs: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """What an error handler reads under ``sys`` (6.5)."""
    return {
        "error_message": failure.text,
        "error_node_id": failure.node_id,
        "error_node_type": failure.node_type,
        "error_type": failure.error_type,
        "workflow_outputs": outputs,
    }


def _no_edge(node: PlanNode, handle: str | None) -> str:
    if handle is None:
        return f"Graph validation error: Node {node.id} returned default handle for branch node"
    return (
        f"Graph validation error: Node {node.id} returned branch handle '{handle}' "
        "but no matching edge found"
    )


def _added(total: LlmUsage | None, more: LlmUsage) -> LlmUsage:
    if total is None:
        return more
    return LlmUsage(
        prompt_tokens=total.prompt_tokens + more.prompt_tokens,
        completion_tokens=total.completion_tokens + more.completion_tokens,
        total_tokens=total.total_tokens + more.total_tokens,
        total_price=total.total_price + more.total_price,
        currency=total.currency or more.currency,
        latency=total.latency + more.latency,
    )

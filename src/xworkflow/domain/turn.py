"""``Turn``: the working copy of a ``RunState`` while ``decide`` takes one fact in.

What every kind of fact needs stands here: time, ids, events, the graph's rules (spec/graph.md 5.3),
the start of ready nodes and the end of the run. What one family of facts does has a file of its
own; ``domain/scheduler.py`` has the table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace

from xworkflow.domain import breakpoints, chunks, events, gathering, responses
from xworkflow.domain.commands import (
    CancelChunk,
    CancelNode,
    Command,
    ContinueAsNew,
    Emit,
    FinishRun,
    StartHandler,
    StartNode,
    StartTimer,
)
from xworkflow.domain.dify_error_types import dify_error_type
from xworkflow.domain.events import Content, GraphEngineEvent
from xworkflow.domain.outcome import ErrorType, RunFailure, RunResult, RunStatus
from xworkflow.domain.plan import FAIL_BRANCH, SOURCE_HANDLES, Plan, PlanNode
from xworkflow.domain.pool_size import too_large
from xworkflow.domain.results import LlmUsage, NodeRunResult, NodeStatus
from xworkflow.domain.retry import delay_ms, may_retry
from xworkflow.domain.state import EdgePhase, NodePhase, Phase, Running, RunState
from xworkflow.domain.streams import in_one_piece, visible
from xworkflow.domain.usage import added_usage
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeFailure

_PENDING, _QUEUED, _RUNNING = NodePhase.PENDING, NodePhase.QUEUED, NodePhase.RUNNING
_TAKEN, _SKIPPED = NodePhase.TAKEN, NodePhase.SKIPPED
_CANCELLED, _FAILED = NodePhase.CANCELLED, NodePhase.FAILED
_EDGE_PENDING, _EDGE_TAKEN, _EDGE_SKIPPED = EdgePhase.PENDING, EdgePhase.TAKEN, EdgePhase.SKIPPED


class Turn:
    """One fact being taken in. Not shared; ``freeze`` gives the state after it."""

    __slots__ = (
        "asked",
        "commands",
        "debug",
        "draining",
        "edges",
        "exceptions",
        "failure",
        "held",
        "idle_since",
        "ids",
        "joins",
        "nodes",
        "now",
        "outputs",
        "paused",
        "phase",
        "plan",
        "pool",
        "ready",
        "repeats",
        "running",
        "said",
        "seq",
        "started_at",
        "state",
        "steps",
        "stopping",
        "usage",
        "waited_ms",
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
        self.repeats = state.repeats
        self.asked = state.asked
        self.joins = state.joins
        self.paused = state.paused
        self.stopping = state.stopping
        self.held = state.held
        self.waited_ms = state.waited_ms
        self.idle_since = state.idle_since
        self.debug = state.debug
        self.said = state.said

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
            repeats=self.repeats,
            asked=self.asked,
            joins=self.joins,
            paused=self.paused,
            stopping=self.stopping,
            held=self.held,
            waited_ms=self.waited_ms,
            idle_since=self.idle_since,
            debug=self.debug,
            said=self.said,
        )

    # ---- time, ids, events

    def see(self, at: int) -> None:
        """Clocks of several machines differ; a run's own time never goes back."""
        if not self.state.fixed_time and at > self.now:
            self.now = at
        if self.idle_since is not None:
            self.waited_ms += self.now - self.idle_since
            self.idle_since = None

    def next_id(self) -> str:
        taken, self.ids = self.ids.take()
        return taken

    def emit(self, content: Content) -> None:
        type_, data = content
        self.commands.append(Emit(GraphEngineEvent(self.seq, self.now, type_, data)))
        self.seq += 1

    # ---- start and end of the run

    def begin(self, at: int) -> None:
        self.see(at)
        self.phase = "running"
        self.started_at = self.now
        self.emit(events.graph_run_started())

    def restart_waits(self) -> None:
        """Start the timers of a state that comes out of another history."""
        for key, run in self.running.items():
            if run.due_at is not None:
                kind = "input" if run.asks else "retry"
                left = max(1, run.due_at - self.now)
                self.commands.append(StartTimer(int(key), run.attempt, left, kind))
        for key, progress in self.repeats.items():
            if progress.due_at is not None and key in self.running:
                left = max(1, progress.due_at - self.now)
                attempt = self.running[key].attempt
                self.commands.append(StartTimer(int(key), attempt, left, "limit"))
        for key, due_at in self.joins.items():
            self.commands.append(StartTimer(int(key), 0, max(1, due_at - self.now), "join"))

    def fail(self, text: str, error_type: ErrorType, node: PlanNode | None = None) -> None:
        """End the run with an error: drop what runs, then the handler, if there is one (6.5)."""
        self.failure = RunFailure(
            text=text,
            error_type=error_type,
            node_id=node.id if node else "",
            node_type=node.type if node else "",
        )
        for key in list(self.running):
            self.drop(int(key))
        for index, _ in self.ready:
            self.nodes[index] = _CANCELLED
        self.ready.clear()
        if self.plan.error_handler is None:
            self.finish("aborted" if error_type == "Aborted" else "failed", self.outputs)
            return
        self.phase = "handling"
        self.pool = self.pool.extend("sys", _error_variables(self.failure, self.outputs))
        self.emit(events.error_handler_started(text))
        self.commands.append(StartHandler())

    def drop(self, index: int) -> None:
        """Stop a node that runs; nobody waits for what it would have given."""
        key = str(index)
        run = self.running[key]
        self.running = self.running.without(key)
        self.asked = self.asked.without(key)
        self.nodes[index] = _CANCELLED
        progress = self.repeats.get(key)
        if progress is not None:
            self.repeats = self.repeats.without(key)
            self.commands += [CancelChunk(index, run.attempt, c.start) for c in progress.open]
        elif not run.waiting:
            self.commands.append(CancelNode(index, run.attempt))

    def finish(self, status: RunStatus, outputs: dict[str, JsonValue]) -> None:
        self.phase = "finished"
        interrupted = [self.plan.nodes[int(key)].id for key in self.running]
        result = RunResult(
            status=status,
            outputs=outputs,
            error=self.failure,
            exceptions=self.exceptions,
            steps=self.steps,
            elapsed_ms=max(0, self.now - self.started_at - self.waited_ms),
            waited_ms=self.waited_ms,
            usage=self.usage,
            interrupted=tuple(interrupted),
        )
        self.commands.append(FinishRun(result))

    # ---- one node

    def take_running(self, index: int, attempt: int, at: int) -> Running | None:
        """Take a node out of what runs; None for an attempt that nobody waits for."""
        key = str(index)
        run = self.running.get(key)
        if run is None or run.waiting or run.attempt != attempt:
            return None
        self.see(at)
        self.running = self.running.without(key)
        return run

    def node_succeeded(self, node: PlanNode, run: Running, result: NodeRunResult) -> None:
        self.add_usage(result.llm_usage)
        chunks.closed(self, node, result)
        self.write(node, result)
        if node.silent:
            self.advance(node, result.edge_source_handle)
            return
        if result.status is NodeStatus.EXCEPTION and result.error is not None:
            self.exceptions += 1
            self.emit(events.node_run_exception(node, run.execution_id, result.error))
        else:
            self.emit(events.node_run_succeeded(node, run.execution_id, visible(result.outputs)))
        self.advance(node, result.edge_source_handle)
        breakpoints.after(self, node)

    def node_failed(self, node: PlanNode, run: Running, failure: NodeFailure) -> None:
        """Another attempt (6.3), or the error strategy (6.2), or the run fails."""
        chunks.given_up(self, node, run, failure)
        fatal = failure.severity == "fatal"  # a limit of the group: neither applies (6.2)
        if not fatal and may_retry(node.retry, failure, run.attempt):
            self.retry(node, run, failure)
        elif not fatal and node.error_strategy.type != "none":
            self.tolerate(node, run, failure)
        elif self.stopping:
            # a fork starts it again: its error is nobody's (9.3)
            again = Running(run.attempt, run.execution_id, self.now)
            self.running = self.running.set(str(node.index), again)
        else:
            self.nodes[node.index] = _FAILED
            self.emit(events.node_run_failed(node, run.execution_id, failure))
            text = f"Node execution error: node={node.id}, error={failure.text}"
            self.emit(events.graph_run_failed(text, self.exceptions))
            self.fail(text, "NodeExecutionError", node)

    def retry(self, node: PlanNode, run: Running, failure: NodeFailure) -> None:
        assert node.retry is not None  # noqa: S101 - may_retry said so
        self.emit(events.node_run_retry(node, run.execution_id, failure, run.attempt))
        wait = delay_ms(node.retry, failure, run.attempt, run.execution_id)
        # what is held back stands as if it waited; its timer starts when the run goes on
        holds = self.draining or self.stopping
        due = self.now + wait if wait > 0 or holds or self.paused else None
        again = Running(run.attempt + 1, run.execution_id, due)
        self.running = self.running.set(str(node.index), again)
        if not again.waiting:
            self.commands.append(StartNode(node.index, again.attempt, again.execution_id))
        elif not holds:
            self.commands.append(StartTimer(node.index, again.attempt, max(1, wait)))

    def tolerate(self, node: PlanNode, run: Running, failure: NodeFailure) -> None:
        """The error strategy makes an exception of the failure (6.2). Dify's two extra outputs are
        added in both dialects; no case of the catalogue forbids it."""
        strategy = node.error_strategy
        is_dify = self.plan.dialect == "dify"
        error_type = dify_error_type(node.type, failure) if is_dify else failure.code
        outputs: dict[str, JsonValue] = {"error_message": failure.text, "error_type": error_type}
        if strategy.type == "default-value":
            default = strategy.default_value
            outputs |= in_one_piece(default) if node.streaming else default
        self.exceptions += 1
        self.write(node, NodeRunResult(outputs=outputs))
        self.emit(events.node_run_exception(node, run.execution_id, failure))
        self.advance(node, FAIL_BRANCH if strategy.type == FAIL_BRANCH else None)

    def add_usage(self, usage: LlmUsage | None) -> None:
        self.usage = added_usage(self.usage, usage)

    def add_outputs(self, node: PlanNode, added: dict[str, JsonValue]) -> None:
        """The run's outputs with those of one more node: the later one wins (5.5).

        Dify's answers follow one another instead, nothing between them, as its chat shows them.
        """
        if self.plan.dialect == "dify" and node.type != "end":
            self.outputs = responses.said_by(self, node, added)
        else:
            self.outputs = {**self.outputs, **added}

    def write(self, node: PlanNode, result: NodeRunResult) -> None:
        for write in result.writes:
            self.pool = self.pool.set(write.selector, write.value)
        if result.outputs:
            self.pool = self.pool.extend(node.id, result.outputs)
            # what streams through an answer is shown, and no output of a native run (5.5)
            if node.is_output and not (node.streaming and self.plan.dialect == "native"):
                self.add_outputs(node, visible(result.outputs))

    # ---- the graph

    def advance(self, node: PlanNode, handle: str | None) -> None:
        """Resolve the node's out-edges, and all that follows from it (5.3)."""
        self.route(node, handle)
        if node.decides:
            responses.ended(self, node)

    def route(self, node: PlanNode, handle: str | None) -> None:
        self.nodes[node.index] = _TAKEN
        if node.join is not None:
            gathering.joined(self, node)
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
            node = self.plan.nodes[target]
            ins = node.in_edges
            if node.join is not None and gathering.arrived(self, node, source):
                continue
            if self.edges.find(_EDGE_PENDING, ins.start, ins.stop) >= 0:
                continue
            if node.join is None and self.edges.find(_EDGE_TAKEN, ins.start, ins.stop) >= 0:
                self.enqueue(target, source)
                continue
            self.nodes[target] = _SKIPPED
            for edge in reversed(node.out_edges):
                self.edges[edge] = _EDGE_SKIPPED
                pending.append(self.plan.targets[edge])

    def enqueue_root(self) -> None:
        """Make the first node ready; a fork brings along what is ready."""
        if self.nodes[self.plan.root] == _PENDING:
            self.enqueue(self.plan.root, -1)

    def enqueue(self, index: int, predecessor: int) -> None:
        self.nodes[index] = _QUEUED
        self.ready.append((index, predecessor))

    # ---- starting what is ready

    def schedule(self) -> None:
        """Start what may start; end the run, or this history of it, when nothing is left."""
        if self.phase != "running":
            return
        if not (self.draining or self.paused or self.stopping):
            self.start_what_may()
        if self.phase != "running":
            return
        idle = all(self.is_waiting(key, run) for key, run in self.running.items())
        if idle:
            self.rest()

    def start_what_may(self) -> None:
        if self.repeats:
            chunks.give_out(self)
        if self.ready:
            self.start_ready()

    def rest(self) -> None:
        """Nothing is in flight: end, continue as new, or wait."""
        if self.stopping:
            interrupted = [self.plan.nodes[int(key)].id for key in self.running]
            self.emit(events.workflow_safe_stopped(interrupted))
            self.finish("safe_stopped", self.outputs)
        elif self.draining:
            self.commands.append(ContinueAsNew())
        elif not (self.ready or self.running or breakpoints.holds(self)):
            self.complete()
        elif self.idle_since is None:
            self.idle_since = self.now

    def is_waiting(self, key: str, run: Running) -> bool:
        """Whether nothing of a started node is in flight."""
        if run.waiting:
            return True
        progress = self.repeats.get(key)
        return progress is not None and not progress.open and not progress.closing

    def start_ready(self) -> None:
        """Start ready nodes, the last first, up to the limit."""
        group_id: str | None = None
        limit = self.state.config.concurrency
        while self.ready and (limit == 0 or len(self.running) < limit):
            if self.debug is None:
                place = len(self.ready) - 1
            else:
                chosen = breakpoints.next_ready(self)
                if chosen is None:
                    return
                place = chosen
            if not self.may_start():
                return
            group_id = group_id or self.next_id()
            index, predecessor = self.ready.pop(place)
            self.start_node(index, predecessor, group_id)

    def may_start(self) -> bool:
        """The limits of the run, checked before each start (5.1)."""
        config = self.state.config
        if self.steps >= config.max_steps:
            return self.over_limit(f"Max steps exceeded: {config.max_steps}", "MaxStepsExceeded")
        limit = config.max_execution_time_secs
        if limit is not None and self.now - self.started_at - self.waited_ms > limit * 1000:
            return self.over_limit("Execution timeout", "Timeout")
        return True

    def over_limit(self, text: str, error_type: ErrorType) -> bool:
        self.emit(events.graph_run_failed(text, self.exceptions))
        self.fail(text, error_type)
        return False

    def start_node(self, index: int, predecessor: int, group_id: str) -> None:
        node = self.plan.nodes[index]
        execution_id = self.next_id()
        self.nodes[index] = _RUNNING
        self.running = self.running.set(str(index), Running(1, execution_id))
        responses.container_starts(self, node)
        if node.silent:
            self.commands.append(StartNode(index, 1, execution_id))
            return
        self.steps += 1
        before = self.plan.nodes[predecessor] if predecessor >= 0 else None
        before_id = before.id if before is not None and not before.silent else None
        self.emit(events.node_run_started(node, execution_id, before_id, group_id))
        refused = self.over_quota()
        if refused is None:
            self.commands.append(StartNode(index, 1, execution_id))
        else:
            self.running = self.running.without(str(index))
            self.node_failed(node, Running(1, execution_id), refused)

    def over_quota(self) -> NodeFailure | None:
        """Why no node may start: the pool is larger than its group allows (runtime.md 6.4)."""
        config = self.state.config
        entries, size = config.max_pool_entries, config.max_pool_bytes
        if entries is None and size is None:
            return None
        found = self.pool.size(sys.maxsize if size is None else size)
        return too_large(found.entries, found.size, max_entries=entries, max_size=size)

    def complete(self) -> None:
        if self.exceptions:
            self.emit(events.graph_run_partial_succeeded(self.exceptions, self.outputs))
        else:
            self.emit(events.graph_run_succeeded(self.outputs))
        self.finish("completed", self.outputs)

    def hold(self, index: int) -> None:
        """Keep a node's next attempt back until the run goes on."""
        self.held = (*self.held, index)

    def start_again(self, index: int) -> None:
        """Start the next attempt of a node that waited for it."""
        key = str(index)
        run = self.running.get(key)
        if run is not None and run.waiting and not run.asks:
            self.running = self.running.set(key, replace(run, due_at=None))
            self.commands.append(StartNode(index, run.attempt, run.execution_id))


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

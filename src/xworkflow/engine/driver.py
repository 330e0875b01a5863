"""Carries a run: folds ``decide`` over facts, and does on the way what needs nodes but no world.

Inline nodes run, containers say what they repeat and make results of it, people are asked.

The same driver stands in the workflow, in a local region, in a reader of a history and in the
in-memory shell of the tests. What it cannot do itself (activities, timers, child workflows) it
hands out as effects, in the order in which ``decide`` asked for them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Final, TypeAlias, cast

from xworkflow.domain.commands import (
    CancelChunk,
    CancelHandler,
    CancelNode,
    CloseRepeat,
    Command,
    ContinueAsNew,
    Emit,
    FinishRun,
    StartChunk,
    StartHandler,
    StartNode,
    StartTimer,
    TimeOutInput,
)
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.facts import (
    Fact,
    InputReceived,
    InputRefused,
    InputRequested,
    InputTimedOut,
    NodeFailed,
    NodeSucceeded,
    RepeatOpened,
)
from xworkflow.domain.forms import TIMEOUT_HANDLE, FormRefusedError, HumanAnswer, unanswered
from xworkflow.domain.persistent import PersistentMap
from xworkflow.domain.plan import Placement
from xworkflow.domain.repeats import Progress
from xworkflow.domain.scheduler import decide
from xworkflow.domain.selectors import Selector
from xworkflow.domain.state import RunState
from xworkflow.domain.wire import CrossedValue, NodeReport, NodeTask, Policy
from xworkflow.engine.cache import plans
from xworkflow.engine.compile import Compiled
from xworkflow.engine.composing import Composer
from xworkflow.errors import NodeError
from xworkflow.nodes.base import ContainerNode, InlineNode, WaitNode

Effect: TypeAlias = (
    StartNode
    | StartTimer
    | CancelNode
    | StartChunk
    | CancelChunk
    | StartHandler
    | CancelHandler
    | FinishRun
    | ContinueAsNew
    | Emit
)


_NO_REPEATS: Final = PersistentMap[Progress]()


class Driver:
    """One run on its way. Not thread-safe; deterministic, so replay-safe.

    ``state`` is always the state after the last fact. A reader gives it a ``composer``, which puts
    the chunks of streams between the events. ``in_region`` opens no container and asks nobody: the
    pool of a region lacks what these read, and no chunk and no answer reaches it.
    """

    def __init__(
        self,
        compiled: Compiled,
        state: RunState,
        composer: Composer | None = None,
        *,
        in_region: bool = False,
    ) -> None:
        self.compiled = compiled
        self.plan = compiled.plan
        self.state = state
        self._composer = composer
        self._in_region = in_region

    def feed(self, fact: Fact) -> list[Effect]:
        """Take a fact in, and all that follows from it without the world's help."""
        effects: list[Effect] = []
        facts: deque[Fact] = deque((fact,))
        while facts:
            self.state, commands = decide(self.plan, self.state, facts.popleft())
            if self._composer is not None:
                commands = self._composed(self._composer, commands)
            for command in commands:
                fact_of_command = self._done_here(command)
                if fact_of_command is not None:
                    facts.append(fact_of_command)
                elif not self._stops_nothing(command):
                    effects.append(cast("Effect", command))
        return effects

    def _composed(self, composer: Composer, commands: list[Command]) -> list[Command]:
        """The commands of one decision with the chunks that belong between its events."""
        given = [c.event for c in commands if isinstance(c, Emit)]
        composed: list[Command] = []
        at, seq = self.state.now, self.state.events - len(given) - 1
        for item in composer.compose(self.state, given):
            if isinstance(item, GraphEngineEvent):
                seq = item.seq
                composed.append(Emit(item))
            else:
                composed.append(Emit(GraphEngineEvent(seq, at, *item)))
        return [*composed, *(c for c in commands if not isinstance(c, Emit))]

    def _stops_nothing(self, command: Command) -> bool:
        """Whether it stops a node that never left this driver: its fact is on its way."""
        away = (Placement.LOCAL, Placement.ACTIVITY)
        return (
            isinstance(command, CancelNode) and self.plan.nodes[command.node].placement not in away
        )

    def _done_here(self, command: Command) -> Fact | None:
        """The fact that a command leads to here and now; None for one that needs the world."""
        match command:
            case StartNode():
                match self.plan.nodes[command.node].placement:
                    case Placement.INLINE:
                        return self._run_inline(command)
                    case Placement.CHILD if not self._in_region:
                        return self._open(command)
                    case Placement.WAIT if not self._in_region:
                        return self._ask(command)
                    case _:
                        return None
            case CloseRepeat():
                return self._close(command)
            case TimeOutInput():
                return self._time_out(command)
            case _:
                return None

    def answer(self, index: int, answer: HumanAnswer, at: int) -> Fact:
        """What a person's answer to a waiting node is: received, or refused with the problems.

        Raises KeyError for a node that does not wait.
        """
        form = self.state.asked[str(index)].form
        compiled = self.compiled.nodes[index]
        assert isinstance(compiled.type, WaitNode)  # noqa: S101 - it asked
        try:
            result = compiled.type.answer(compiled.node, form, answer)
        except FormRefusedError as error:
            return InputRefused(index, error.problems, at)
        return InputReceived(index, answer, result, at)

    def asked(self, answer: HumanAnswer) -> int | None:
        """The waiting node that an answer is for: by its token, or by its id where it has none."""
        for key, asked in self.state.asked.items():
            if answer.token == asked.token:
                return int(key)
            if not answer.token and answer.node_id == self.plan.nodes[int(key)].id:
                return int(key)
        return None

    def apply_policy(self, policy: Policy) -> None:
        """Hold the run to its group's limits and placement; before the run has started."""
        self.state = replace(self.state, config=policy.applied(self.state.config))
        options = self.compiled.options.under(policy)
        if options != self.compiled.options:
            self.compiled = plans.get(self.compiled.schema.text, options)
            self.plan = self.compiled.plan

    def placement(self, start: StartNode) -> Placement:
        return self.plan.nodes[start.node].placement

    def task(self, start: StartNode, execution_id: str, *, stream: bool = False) -> NodeTask:
        """What crosses to the activity of an attempt: the node, and the values that it reads."""
        compiled = self.compiled.nodes[start.node]
        node = self.plan.nodes[start.node]
        pool = self.state.pool
        return NodeTask(
            execution_id=execution_id,
            node_id=node.id,
            node_type=node.type,
            title=node.title,
            app_name=self.compiled.schema.name,
            data=compiled.spec.data,
            dialect=self.plan.dialect,
            attempt=start.attempt,
            values=tuple(
                CrossedValue(selector=selector, value=pool.get(selector))
                for selector in node.reads or ()
            ),
            pool=pool.to_json() if node.reads is None else None,
            timeout_secs=node.timeout_secs,
            strict_template=self.state.config.strict_template,
            # all Temporal retries of one attempt share it: it names the attempt family
            idempotency_key=f"{execution_id}/{start.execution_id}/{start.attempt}",
            start_time=self.state.started_at // 1000,
            fixed_timestamp=self.state.now // 1000 if self.state.fixed_time else None,
            fake_id_prefix=self.state.ids.fake_prefix,
            stream=stream,
            node_execution_id=start.execution_id,
        )

    def region_state(self, starts: list[StartNode], *, whole_pool: bool = False) -> RunState:
        """The state for a region that starts with these nodes: the pool cut to what it may read."""
        pool = self.state.pool
        return replace(
            self.state,
            pool=pool if whole_pool else pool.project(self._region_reads(starts)),
            repeats=_NO_REPEATS,  # no chunk ends in a region
        )

    def _region_reads(self, starts: list[StartNode]) -> set[Selector]:
        """What every node reads that a region can come to: inline and local ones, in any number.

        Those that wait for a free place are among them: one starts when a node of the region ends.
        """
        todo = [start.node for start in starts] or [self.plan.root]
        todo += [index for index, _ in self.state.ready]
        seen = set(todo)
        reads: set[Selector] = set()
        while todo:
            node = self.plan.nodes[todo.pop()]
            if node.placement not in (Placement.INLINE, Placement.LOCAL):
                continue
            reads.update(node.reads or ())
            for target in (self.plan.targets[e] for e in node.out_edges):
                if target not in seen:
                    seen.add(target)
                    todo.append(target)
        return reads

    def _run_inline(self, start: StartNode) -> Fact:
        compiled = self.compiled.nodes[start.node]
        assert isinstance(compiled.type, InlineNode)  # noqa: S101 - its placement says so
        limits = self.state.config.limits
        try:
            result = compiled.type.run(compiled.node, limits.guarded(self.state.pool))
            limits.check_outputs(compiled.node.id, compiled.node.type, result.outputs)
        except NodeError as error:
            return NodeFailed(start.node, start.attempt, error.failure, self.state.now)
        return NodeSucceeded(start.node, start.attempt, result, self.state.now)

    def _open(self, start: StartNode) -> Fact:
        compiled = self.compiled.nodes[start.node]
        assert isinstance(compiled.type, ContainerNode)  # noqa: S101 - its placement says so
        try:
            repeat = compiled.type.open(compiled.node, self.state.pool)
        except NodeError as error:
            return NodeFailed(start.node, start.attempt, error.failure, self.state.now)
        return RepeatOpened(start.node, start.attempt, repeat, self.state.now)

    def _close(self, close: CloseRepeat) -> Fact:
        compiled = self.compiled.nodes[close.node]
        assert isinstance(compiled.type, ContainerNode)  # noqa: S101 - it was opened
        try:
            result = compiled.type.close(compiled.node, close.repeat, close.end)
        except NodeError as error:
            return NodeFailed(close.node, close.attempt, error.failure, self.state.now)
        return NodeSucceeded(close.node, close.attempt, result, self.state.now)

    def _ask(self, start: StartNode) -> Fact:
        compiled = self.compiled.nodes[start.node]
        assert isinstance(compiled.type, WaitNode)  # noqa: S101 - its placement says so
        try:
            strict = self.state.config.strict_template
            form = compiled.type.ask(compiled.node, self.state.pool, strict=strict)
        except NodeError as error:
            return NodeFailed(start.node, start.attempt, error.failure, self.state.now)
        return InputRequested(start.node, start.attempt, form, self.state.now)

    def _time_out(self, command: TimeOutInput) -> Fact:
        compiled = self.compiled.nodes[command.node]
        assert isinstance(compiled.type, WaitNode)  # noqa: S101 - it asked
        handles = {self.plan.handles[edge] for edge in self.plan.nodes[command.node].out_edges}
        if command.form.timeout_action == "branch" and TIMEOUT_HANDLE not in handles:
            return InputTimedOut(command.node, None, unanswered().failure, self.state.now)
        try:
            result = compiled.type.timed_out(compiled.node, command.form)
        except NodeError as error:
            return InputTimedOut(command.node, None, error.failure, self.state.now)
        return InputTimedOut(command.node, result, None, self.state.now)


def fact_of(node: int, attempt: int, report: NodeReport) -> Fact:
    """The fact that a report of an attempt stands for."""
    if report.failure is not None:
        return NodeFailed(node, attempt, report.failure, report.at)
    assert report.result is not None  # noqa: S101 - exactly one of both is set
    return NodeSucceeded(node, attempt, report.result, report.at)

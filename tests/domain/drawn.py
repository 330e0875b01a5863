"""Plans drawn as text, and a run of one that is fed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from xworkflow.domain.commands import CancelNode, Command, Emit, FinishRun, StartNode, StartTimer
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.facts import Fact, NodeFailed, NodeSucceeded, RunStarted, TimerFired
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.plan import Plan
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.scheduler import decide
from xworkflow.domain.schema import (
    EdgeSpec,
    ErrorHandler,
    ErrorStrategy,
    NodeSpec,
    RetryConfig,
    SubGraph,
    WorkflowSchema,
)
from xworkflow.domain.selectors import Dialect
from xworkflow.domain.state import RunState, initial_state
from xworkflow.domain.wire import MockNode
from xworkflow.engine.compile import CompileOptions, compile_schema
from xworkflow.errors import NodeFailure
from xworkflow.nodes.registry import NodeRegistry

FAIL_BRANCH = ErrorStrategy(type="fail-branch")
RECOVER = ErrorHandler(sub_graph=SubGraph(nodes=(), edges=()), mode="recover")
NOTIFY = ErrorHandler(sub_graph=SubGraph(nodes=(), edges=()), mode="notify")


def default_value(**values: Any) -> ErrorStrategy:
    return ErrorStrategy(type="default-value", default_value=values)


def drawn(
    edges: str,
    *,
    dialect: Dialect = "native",
    strategies: Mapping[str, ErrorStrategy] | None = None,
    retries: Mapping[str, RetryConfig] | None = None,
    error_handler: ErrorHandler | None = None,
) -> Plan:
    """The plan of ``"start>a a:yes>b"``: an arrow is an edge, a colon its handle.

    A node whose name begins with ``start``, ``end`` or ``answer`` has that type, any other is code.
    """
    specs = [_edge(text) for text in edges.split()]
    names = dict.fromkeys(name for spec in specs for name in (spec.source, spec.target))
    schema = WorkflowSchema(
        dialect=dialect,
        nodes=tuple(
            NodeSpec(
                id=name,
                type=_type(name),
                title=name.upper(),
                error_strategy=(strategies or {}).get(name),
                retry_config=(retries or {}).get(name),
            )
            for name in names
        ),
        edges=tuple(specs),
        error_handler=error_handler,
    )
    mocks = {name: MockNode() for name in names}
    return compile_schema(schema, NodeRegistry.builtin(), CompileOptions(mock_nodes=mocks)).plan


def _edge(text: str) -> EdgeSpec:
    left, target = text.split(">")
    source, _, handle = left.partition(":")
    return EdgeSpec(id=text, source=source, target=target, source_handle=handle or None)


def _type(name: str) -> str:
    return next((known for known in ("start", "end", "answer") if name.startswith(known)), "code")


class Run:
    """A run fed by hand. Nodes go by their ids; ``commands`` are those of the last fact."""

    def __init__(
        self,
        edges: str,
        *,
        config: EngineConfig | None = None,
        fake_id_prefix: str | None = "id",
        fixed_timestamp: int | None = None,
        pool: VariablePool | None = None,
        **drawing: Any,
    ) -> None:
        self.plan = drawn(edges, **drawing)
        self.state: RunState = initial_state(
            self.plan,
            pool=pool or VariablePool(),
            config=config or EngineConfig(),
            id_base="run",
            fake_id_prefix=fake_id_prefix,
            fixed_timestamp=fixed_timestamp,
        )
        self.commands: list[Command] = []
        self.log: list[GraphEngineEvent] = []

    def feed(self, fact: Fact) -> Self:
        self.state, self.commands = decide(self.plan, self.state, fact)
        self.log += self.events
        return self

    def begin(self, at: int = 0) -> Self:
        """Start the run; its start node succeeds at once."""
        return self.feed(RunStarted(at)).ok("start", at=at)

    def ok(self, name: str, *, at: int = 0, handle: str | None = None, **outputs: Any) -> Self:
        return self.end(name, NodeRunResult(outputs=outputs, edge_source_handle=handle), at=at)

    def end(self, name: str, result: NodeRunResult, *, at: int = 0) -> Self:
        return self.feed(NodeSucceeded(self.index(name), self.attempt(name), result, at))

    def fail(
        self, name: str, text: str = "boom", *, at: int = 0, retryable: bool = False, **more: Any
    ) -> Self:
        failure = NodeFailure(code="execution_error", text=text, retryable=retryable, **more)
        return self.feed(NodeFailed(self.index(name), self.attempt(name), failure, at))

    def fire(self, name: str, *, at: int = 0) -> Self:
        return self.feed(TimerFired(self.index(name), self.attempt(name), at))

    def index(self, name: str) -> int:
        return self.plan.index_of[name]

    def attempt(self, name: str) -> int:
        running = self.state.running.get(str(self.index(name)))
        assert running is not None, f"{name} does not run"
        return running.attempt

    @property
    def events(self) -> list[GraphEngineEvent]:
        """The events of the last fact."""
        return [c.event for c in self.commands if isinstance(c, Emit)]

    @property
    def kinds(self) -> list[str]:
        return [event.type for event in self.events]

    @property
    def started(self) -> list[str]:
        """Ids of the nodes of which the last fact started an attempt."""
        return [self.plan.nodes[c.node].id for c in self.commands if isinstance(c, StartNode)]

    @property
    def cancelled(self) -> list[str]:
        return [self.plan.nodes[c.node].id for c in self.commands if isinstance(c, CancelNode)]

    @property
    def timers(self) -> list[tuple[str, int]]:
        """(node, milliseconds) of the waits that the last fact began."""
        return [
            (self.plan.nodes[c.node].id, c.delay_ms)
            for c in self.commands
            if isinstance(c, StartTimer)
        ]

    @property
    def result(self) -> RunResult:
        """How the last fact ended the run."""
        return next(c.result for c in self.commands if isinstance(c, FinishRun))

    @property
    def error(self) -> str:
        failure = self.result.error
        assert failure is not None
        return failure.text

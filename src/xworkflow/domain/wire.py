"""What crosses borders: client → workflow → activity, and back. Frozen models and names.

Every model tolerates other versions: unknown fields are ignored, new ones have defaults. Sizes: a
payload may hold at most 2 MB; a schema is at most 10 MB of text before it is normalised.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Any, Final, cast

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from xworkflow.domain.commands import StartChunk
from xworkflow.domain.debugging import DebugConfig, DebugPhase, DebugReason
from xworkflow.domain.facts import HandlerFinished
from xworkflow.domain.packing import packed, packed_json, unpacked
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.repeats import ChunkEnd, Repeat
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.security_limits import SecurityLimits
from xworkflow.domain.selectors import Dialect, Selector
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeFailure

GRAPH_WORKFLOW: Final = "GraphWorkflow"
SUBGRAPH_WORKFLOW: Final = "SubGraphWorkflow"
LOCAL_REGION: Final = "local_region"
DEFAULT_GROUP: Final = "default"

STATE_QUERY: Final = "state"
OUTPUTS_QUERY: Final = "outputs"
VARIABLES_QUERY: Final = "variables"
WAITING_QUERY: Final = "waiting"
DEBUG_QUERY: Final = "debug"
EVENTS_QUERY: Final = "events"

PAUSE_SIGNAL: Final = "pause"
RESUME_SIGNAL: Final = "resume"
ABORT_SIGNAL: Final = "abort"
SAFE_STOP_SIGNAL: Final = "safe_stop"
CHILD_WAITS_SIGNAL: Final = "child_waits"
SLOT_SIGNAL: Final = "slot_granted"

ANSWER_UPDATE: Final = "answer"
VARIABLES_UPDATE: Final = "update_variables"
DEBUG_UPDATE: Final = "debug_command"

HANDLER_SUFFIX: Final = "error-handler"

AUDIT_FUNCTION: Final = "xworkflow_audit"
"""What a worker lends its workflows for records of their group's audit log."""

APP_ATTRIBUTE: Final = "XworkflowApp"
GROUP_ATTRIBUTE: Final = "XworkflowGroup"
SCHEMA_HASH_ATTRIBUTE: Final = "XworkflowSchemaHash"
SEARCH_ATTRIBUTES: Final = (APP_ATTRIBUTE, GROUP_ATTRIBUTE, SCHEMA_HASH_ATTRIBUTE)
"""Search attributes of runs, all of Temporal's type Keyword."""


NEXT_TASK_SECS: Final = 0.0001
"""The length of a timer that only brings the next workflow task; no timer of a run is shorter than
a millisecond, but for those of no time at all."""

_PACKED: Final = "packed"
"""The only key of a state that travels packed."""


def task_queue(group_id: str | None) -> str:
    """The task queue of a group."""
    return f"xworkflow-{group_id or DEFAULT_GROUP}"


def activity_id(node_id: str, attempt: int, item: int | None = None) -> str:
    """The id under which an attempt stands in the history and the Web UI. No two share one, also
    where nodes are called ``a`` and ``a#2``. ``item`` is the lane of a chunk."""
    name = node_id if attempt == 1 and "#" not in node_id else f"{node_id}#{attempt}"
    return name if item is None else f"{item}/{name}"


def node_of_activity(given: str) -> str:
    """The node of an ``activity_id``, without the attempt, for people to read."""
    lane, slash, name = given.partition("/")
    name = name if slash and lane.isdecimal() else given
    return name.rpartition("#")[0] or name


def chunk_id(parent_id: str, node_id: str, start: StartChunk, item: int | None) -> str:
    """The workflow id of a chunk: ``run/iteration:0``, inside another one ``…/7/inner:0``."""
    step = node_id if start.attempt == 1 and "#" not in node_id else f"{node_id}#{start.attempt}"
    step = step if item is None else f"{item}/{step}"
    name = f"{parent_id}/{step}:{start.start}"
    if len(name.encode()) <= _MAX_ID_BYTES:
        return name
    return f"{name[:200]}…{hashlib.sha256(name.encode()).hexdigest()}"


_MAX_ID_BYTES: Final = 900
"""Temporal refuses workflow ids of more than 1,000 bytes."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class MockNode(_Wire):
    """What a mocked node gives instead of doing its work: outputs, or an error's text.

    Inside of a container ``by_index`` has the outputs for each item or round.
    """

    outputs: dict[str, JsonValue] = Field(default_factory=dict)
    by_index: tuple[dict[str, JsonValue], ...] = ()
    handle: str | None = None
    error: str | None = None
    error_type: str = "execution_error"


class ExecutorInfo(_Wire):
    """What the workflow must know of a node type that is not built in."""

    reads_all: bool = False


class Variables(_Wire):
    """The values that a run is started with, by namespace (spec/graph.md 3.1)."""

    user_inputs: dict[str, JsonValue] = Field(default_factory=dict)
    system: dict[str, JsonValue] = Field(default_factory=dict)
    environment: dict[str, JsonValue] = Field(default_factory=dict)
    conversation: dict[str, JsonValue] = Field(default_factory=dict)


class RunOptions(_Wire):
    """How a run is carried out. Durations in seconds."""

    heartbeat_timeout_secs: float = 60.0
    continue_as_new_after_events: int = 8_000
    continue_as_new_after_bytes: int = 8 * 1024 * 1024
    fixed_timestamp: int | None = None
    fake_id_prefix: str | None = None
    traced: bool = False
    """Set by a client that traces: then inline nodes have spans, too."""
    stream: bool = False
    """Whether the models of a Dify export are asked for their answers in pieces."""
    priority: int | None = Field(default=None, ge=1, le=5)
    """Temporal's, among the runs of a task queue: 1 comes first, 3 is the server's default."""


class Policy(_Wire):
    """A group's limits as admitted for one run; later changes of the group never reach it."""

    max_steps: int = 500
    max_execution_time_secs: float = 600.0
    security_level: str = "standard"
    all_activities: bool = False
    limits: SecurityLimits = SecurityLimits()
    max_pool_entries: int | None = None
    max_pool_bytes: int | None = None
    yields_slot: bool = False
    """Whether the run gives its place back while it only waits for people."""
    yields_to: str = ""
    """The workflow that hears of it; empty for the group's ledger."""

    def applied(self, config: EngineConfig) -> EngineConfig:
        """A run's own limits, under the group's."""
        return config.lowered(
            self.max_steps,
            self.max_execution_time_secs,
            self.limits,
            max_pool_entries=self.max_pool_entries,
            max_pool_bytes=self.max_pool_bytes,
        )


class PathStep(_Wire):
    """One step into a container: its node, and the item or round."""

    node_id: str
    index: int


class ChunkTask(_Wire):
    """A chunk of a container's items, as it crosses to its child workflow.

    ``repeat.items`` are those of the chunk, and the first of them is item number ``start``.
    ``execution_id`` and ``attempt`` are the container's, and so is ``path``, which ends with the
    lane that the container runs in (none for the root).
    """

    node_id: str
    node_type: str
    title: str = ""
    data: dict[str, JsonValue] = Field(default_factory=dict)
    execution_id: str
    attempt: int = 1
    start: int = 0
    window: int = 1
    repeat: Repeat
    path: tuple[PathStep, ...] = ()
    nodes_at_once: int | None = None
    """What the items that begin on one fact may have of nodes, together; then the chunk takes a
    breath. (A chunk that began before there were these bounds has none.)"""
    bytes_at_once: int | None = None
    """The size of results after which no more items begin."""
    quiet: bool = False
    """Whether what is answered inside is shown only when the outermost such container ends."""
    nodes_in_a_history: int | None = None
    """What the items that begin in one history may have of nodes; then it continues as new."""


class ForkOrigin(_Wire):
    """Where a forked run comes from: the other run, and the node that it begins again with (none
    where everything unfinished does)."""

    execution_id: str
    node_id: str
    warnings: tuple[str, ...] = ()


class Waiting(_Wire):
    """A question that waits for a person. Answers go to ``workflow_id``, with the token."""

    workflow_id: str
    node_id: str
    title: str = ""
    token: str
    resume_mode: str = "form"
    form_schema: JsonValue = None
    prompt_text: str | None = None
    timeout_at: int | None = None
    """Unix milliseconds."""
    defaults: dict[str, JsonValue] = Field(default_factory=dict)


class RunInput(_Wire):
    """What ``GraphWorkflow`` is started with.

    ``schema_text`` is the canonical JSON of a WorkflowSchema, so that a worker that has compiled it
    before only hashes it. ``state`` carries a run on into a new history, and ``pool`` seeds a
    sub-graph with what its selectors reach; then ``variables`` are ignored.
    """

    schema_text: str
    variables: Variables = Field(default_factory=Variables)
    config: EngineConfig | None = None
    options: RunOptions = Field(default_factory=RunOptions)
    group_id: str | None = None
    mock_nodes: dict[str, MockNode] = Field(default_factory=dict)
    executors: dict[str, ExecutorInfo] = Field(default_factory=dict)
    app_name: str = ""
    pool: dict[str, dict[str, JsonValue]] | None = None
    id_base: str | None = None
    state: dict[str, Any] | None = None
    policy: Policy | None = None
    chunk: ChunkTask | None = None
    """Of a sub-graph: the body is ``schema_text``, and this what it is repeated for."""
    debug: DebugConfig | None = None
    fork: ForkOrigin | None = None
    """Of a run that begins with another one's ``state``; gone once it has begun."""
    root_id: str | None = None
    """Of a sub-graph: the workflow id of the run that it belongs to."""
    waiting: tuple[Waiting, ...] = ()
    """Of a continued run: the questions of its sub-graphs; of a continued sub-graph: those that its
    root has heard of."""
    slot_turn: int = 0
    slot_away: bool = False
    """Of a continued run: how often it has given its place back, and whether it has it."""

    @field_serializer("schema_text", when_used="json")
    def _packed_text(self, text: str) -> str:
        return packed(text)

    @field_validator("schema_text", mode="before")
    @classmethod
    def _unpacked_text(cls, text: Any) -> Any:  # noqa: ANN401 - what some client sent
        return unpacked(text) if isinstance(text, str) else text

    @field_serializer("state", "pool", when_used="json")
    def _packed_state(self, state: dict[str, Any] | None) -> dict[str, Any] | None:
        if state is None:
            return None
        text = packed_json(state)
        return state if text is None else {_PACKED: text}

    @field_validator("state", "pool", mode="before")
    @classmethod
    def _unpacked_state(cls, state: Any) -> Any:  # noqa: ANN401 - what some client sent
        if not isinstance(state, dict) or _PACKED not in state:
            return cast("object", state)
        return json.loads(unpacked(str(cast("dict[str, object]", state)[_PACKED])))


class Admission(_Wire):
    """The answer of a group to a run that wants to start, or to go on after a wait.

    ``queued`` runs are not granted yet: they hear of their place by a signal.
    """

    granted: bool = True
    policy: Policy | None = None
    reason: str | None = None
    queued: bool = False
    lease: str | None = None
    """The process out of whose lease the place came (domain/governing.py)."""


class SlotGranted(_Wire):
    """A queued run has its place now."""

    turn: int = 0


class CrossedValue(_Wire):
    """One value that crosses to an activity."""

    selector: Selector
    value: JsonValue = None


class NodeTask(_Wire):
    """One attempt of one node, as it crosses to an activity: only what the node reads."""

    execution_id: str
    node_id: str
    node_type: str
    title: str = ""
    app_name: str = ""
    data: dict[str, JsonValue] = Field(default_factory=dict)
    dialect: Dialect = "native"
    attempt: int = 1
    values: tuple[CrossedValue, ...] = ()
    pool: dict[str, dict[str, JsonValue]] | None = None
    timeout_secs: float | None = None
    strict_template: bool = False
    idempotency_key: str = ""
    start_time: int = 0
    """When the run started, Unix seconds."""
    fixed_timestamp: int | None = None
    fake_id_prefix: str | None = None
    stream: bool = False
    """Whether a model's answer is wanted in pieces (a native llm decides that by itself)."""
    node_execution_id: str = ""
    """Of this execution of the node, the same for all its attempts; unique in the whole run."""


class NodeReport(_Wire):
    """How an attempt ended; exactly one of ``result`` and ``failure`` is set. ``at`` is Unix ms."""

    at: int
    result: NodeRunResult | None = None
    failure: NodeFailure | None = None


def lost_attempt(at: int, cause: object, *, timed_out: bool) -> NodeReport:
    """The report of an attempt that Temporal ended: its own time limit, or all workers lost."""
    if timed_out:
        failure = NodeFailure.timeout("Timeout: node execution exceeded time limit")
    else:
        failure = NodeFailure.of_kind("execution_error", f"the activity was lost: {cause}")
    return NodeReport(at=at, failure=failure)


class ChildEnd(StrEnum):
    """How a child workflow ended without an answer of its own, as its error says it."""

    CANCELLED = "it was cancelled"
    TERMINATED = "it was terminated"
    TIMED_OUT = "it timed out"
    NOT_STARTED = "its workflow id is taken"


def chunk_lost(why: str) -> ChunkEnd:
    """The end of a chunk whose child workflow gave no result."""
    return ChunkEnd(error=f"Sub-graph execution failed: {why}")


def handler_failed(at: int, why: str) -> HandlerFinished:
    """The fact that the error handler's child workflow failed."""
    return HandlerFinished(at, error=f"Sub-graph execution failed: {why}")


class NodeStart(_Wire):
    """An attempt that a region is asked for."""

    node: int
    attempt: int
    execution_id: str
    lane: int = 0


class RegionTask(_Wire):
    """A local region: the state, cut down to what the region can read, and what is to start.

    The plan is found by its key in the process's cache: a local activity always runs in the process
    of its workflow. With ``admit`` the region asks the group first and starts the run itself.
    """

    plan_key: str
    state: dict[str, Any]
    starts: tuple[NodeStart, ...] = ()
    admit: bool = False
    execution_id: str = ""
    fixed_timestamp: int | None = None
    turn: int = 0
    user: str = ""
    app_name: str = ""
    """Of an admission: which asking of the run it is, and among whom the group may share."""
    run: RunInput | None = None
    """Of a sub-graph: its input with the state of its lanes; then ``state`` is empty."""


class RegionNode(_Wire):
    """One attempt that a region finished."""

    node: int
    attempt: int
    report: NodeReport
    lane: int = 0


class RegionReport(_Wire):
    """What a region did, in order. What it did not finish runs again as regular activities.

    ``unfinished`` are nodes of lane 0, or pairs of lane and node.
    """

    admission: Admission | None = None
    finished: tuple[RegionNode, ...] = ()
    unfinished: tuple[int | tuple[int, int], ...] = ()


class RunSnapshot(_Wire):
    """The answer of the ``state`` query."""

    phase: str
    steps: int
    exceptions: int
    elapsed_ms: int
    nodes: dict[str, str]
    error: str | None = None
    status: str = "running"
    """running, waiting_for_input, paused, debug_paused, safe_stopping, or how it ended."""
    waiting: tuple[Waiting, ...] = ()


class EventsPage(_Wire):
    """Some events of one workflow, in order. ``next`` is what to ask for then; None at the end of
    what there is. ``first`` is the oldest that this history can tell."""

    events: tuple[dict[str, Any], ...] = ()
    first: int = 0
    next: int | None = None
    over: bool = False
    """Whether the run has ended, so that no more will come."""


class ChildWait(_Wire):
    """A sub-graph tells its root that it waits for a person, or no longer does."""

    waiting: Waiting
    over: bool = False


class AnswerReceipt(_Wire):
    """An answer was taken."""

    node_id: str
    token: str


class DebugReport(_Wire):
    """Where a debugged run stands. ``node_id`` and what follows are set while it is paused."""

    paused: bool = False
    finished: bool = False
    node_id: str | None = None
    node_type: str | None = None
    phase: DebugPhase | None = None
    reason: DebugReason | None = None
    breakpoints: tuple[str, ...] = ()
    steps: int = 0
    pauses: int = 0
    """How often it has paused: tells one pause from the next."""

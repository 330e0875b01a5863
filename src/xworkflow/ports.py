"""What a node may ask for. Protocols only: ``runtime_group`` implements them, fakes replace them.

The names of the seed document live here: ``TimeProvider``, ``IdGenerator``, ``SandboxPool``,
``JsRuntime``, ``WasmRuntime``, ``CredentialProvider``, ``AuditLogger``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from xworkflow.domain.chat import ChatRequest, ChatResponse, ProviderInfo
from xworkflow.domain.deltas import Delta, StreamItem, StreamKey
from xworkflow.domain.governing import Kind, RunAsks, UsageQuota, Verdict
from xworkflow.domain.results import LlmUsage
from xworkflow.domain.security_limits import TemplateSafetyConfig
from xworkflow.domain.selectors import Dialect
from xworkflow.domain.values import JsonValue

Language = Literal["javascript", "typescript", "python", "wasm"]


@runtime_checkable
class TimeProvider(Protocol):
    """The clock of one run. Inside a workflow it is Temporal's replay-safe one."""

    def now_timestamp(self) -> int:
        """Unix seconds."""
        ...

    def now_millis(self) -> int:
        """Unix milliseconds."""
        ...

    def elapsed_secs(self, since: int) -> int:
        """Seconds since a Unix time, never below 0."""
        ...


@runtime_checkable
class IdGenerator(Protocol):
    """Makes the ids of one run."""

    def next_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """Hard limits of one use of a sandbox process. Seconds and bytes."""

    timeout_secs: float = 30.0
    max_memory_bytes: int = 32 * 1024 * 1024
    max_code_bytes: int = 1_000_000
    max_input_bytes: int = 32 * 1024 * 1024
    max_output_bytes: int = 1024 * 1024
    template: TemplateSafetyConfig | None = None
    """Of templates alone."""


@dataclass(frozen=True, slots=True)
class CodeResult:
    """What a script returned: ``value`` as JSON, and what it printed.

    ``chunks`` is what its stream callbacks gave, in order; None where it asked for no pieces.
    """

    value: JsonValue
    stdout: str = ""
    engine: str = ""
    chunks: tuple[JsonValue, ...] | None = None


class JsRuntime(Protocol):
    """A lent JavaScript VM in a process of its own. Owned by the pool; give it back after use."""

    @property
    def process_id(self) -> int: ...

    async def execute(
        self,
        code: str,
        inputs: Mapping[str, JsonValue],
        limits: SandboxLimits,
        *,
        streams: Mapping[str, Sequence[str]] | None = None,
        typescript: bool = False,
    ) -> CodeResult:
        """Call the script's ``main(inputs)``. Raises SandboxError, or NodeError ``config_error``
        for TypeScript where the extra for it is not installed.

        ``streams`` has the pieces of the inputs that came in pieces, in the order in which they are
        played to the script's callbacks (spec/runtime.md 2.6). A script that asks for no pieces is
        called again, with ``inputs`` as they are.
        """
        ...


class PythonRuntime(Protocol):
    """A lent Python interpreter in a process of its own."""

    @property
    def process_id(self) -> int: ...

    async def execute(
        self, code: str, inputs: Mapping[str, JsonValue], limits: SandboxLimits
    ) -> CodeResult:
        """Call the script's ``main(**inputs)``. Raises SandboxError."""
        ...


class WasmRuntime(Protocol):
    """A lent WebAssembly VM (spec/runtime.md 2.5)."""

    @property
    def process_id(self) -> int: ...

    async def execute(
        self, code: str, inputs: Mapping[str, JsonValue], limits: SandboxLimits
    ) -> CodeResult: ...


class TemplateRuntime(Protocol):
    """A lent template renderer, for templates whose cost cannot be bounded beforehand."""

    @property
    def process_id(self) -> int: ...

    async def render(
        self,
        template: str,
        variables: Mapping[str, JsonValue],
        dialect: Dialect,
        limits: SandboxLimits,
    ) -> str:
        """Render a Jinja2 template. Raises SandboxError, or NodeError ``template_error``."""
        ...


@runtime_checkable
class SandboxPool(Protocol):
    """Lends VMs in disposable child processes. Never shared between groups.

    What is acquired must be released, also after an error; the ``*_vm()`` context managers do both.
    """

    async def acquire_js_vm(self) -> JsRuntime: ...
    async def release_js_vm(self, vm: JsRuntime) -> None: ...
    async def acquire_python_vm(self) -> PythonRuntime: ...
    async def release_python_vm(self, vm: PythonRuntime) -> None: ...
    async def acquire_wasm_vm(self) -> WasmRuntime: ...
    async def release_wasm_vm(self, vm: WasmRuntime) -> None: ...
    async def acquire_template_vm(self) -> TemplateRuntime: ...
    async def release_template_vm(self, vm: TemplateRuntime) -> None: ...
    def js_vm(self) -> AbstractAsyncContextManager[JsRuntime]: ...
    def python_vm(self) -> AbstractAsyncContextManager[PythonRuntime]: ...
    def wasm_vm(self) -> AbstractAsyncContextManager[WasmRuntime]: ...
    def template_vm(self) -> AbstractAsyncContextManager[TemplateRuntime]: ...
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, ready to send. ``headers`` keeps order and duplicates; timeouts in seconds.

    ``timeout_secs`` bounds the whole exchange, redirects included; the three others bound one
    connect, one wait for bytes and one write within it. ``credential_headers`` (lower case) never
    follow a redirect to another origin; ``authorization``, ``cookie`` and what is called like a key
    or token never do anyway. Nor does a body with credentials (``credential_body``): such a
    redirect is refused.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    timeout_secs: float = 10.0
    connect_timeout_secs: float | None = None
    read_timeout_secs: float | None = None
    write_timeout_secs: float | None = None
    credential_headers: frozenset[str] = frozenset()
    credential_body: bool = False
    max_response_bytes: int | None = None
    follow_redirects: bool = True
    verify_tls: bool = True


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole response; ``headers`` has lower-case names, in order, duplicates kept."""

    status_code: int
    headers: tuple[tuple[str, str], ...]
    content: bytes


@dataclass(frozen=True, slots=True)
class HttpStream:
    """A response whose body is still coming. ``parts`` are decoded, can be read once, and raise
    NodeError."""

    status_code: int
    headers: tuple[tuple[str, str], ...]
    parts: AsyncIterator[bytes]


class HttpClient(Protocol):
    """The one way out to the network, under the group's policy."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send and read whole. Any status is a response; raises NodeError for all else."""
        ...

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpStream]:
        """Send, and read the body while it comes, within the same limits. Raises NodeError."""
        ...

    def check_url(self, url: str) -> None:
        """Raise NodeError for a URL that the policy refuses, without sending anything."""
        ...


@runtime_checkable
class LlmProvider(Protocol):
    """One way to reach models. Stateless between calls, and shared by all runs of a group."""

    def id(self) -> str:
        """The name by which workflows ask for it."""
        ...

    def info(self) -> ProviderInfo: ...

    async def chat_completion(self, request: ChatRequest, http: HttpClient) -> ChatResponse:
        """Ask once, through the group's client. Raises NodeError; never retries by itself."""
        ...


OnDelta = Callable[[str], None]
"""Takes the next piece of an answer, which may be empty. Returns at once, and does not raise."""


@runtime_checkable
class StreamingLlmProvider(LlmProvider, Protocol):
    """A provider that can hand an answer out while it comes; others answer in one piece."""

    async def chat_completion_stream(
        self, request: ChatRequest, http: HttpClient, on_delta: OnDelta
    ) -> ChatResponse:
        """Ask once. The pieces, joined, are the answer's content. Raises NodeError, also for a
        stream that breaks off; never retries by itself."""
        ...


class LlmProviders(Protocol):
    """The providers of a group."""

    def get(self, provider_id: str) -> LlmProvider:
        """The provider of an id or of Dify's long form of it. Raises NodeError without one."""
        ...


class FileStore(Protocol):
    """Where the bytes of file values are (spec/graph.md 3.5). They never enter a run's history."""

    async def read(self, file: Mapping[str, JsonValue], *, max_bytes: int) -> bytes:
        """The bytes of a file value. Raises NodeError: not to be had, refused, or too large."""
        ...

    async def save(self, content: bytes, *, name: str, mime_type: str) -> JsonValue:
        """Keep bytes, and return the file value that ``read`` takes. Saving again is harmless.

        Raises NodeError when there is no place to keep them.
        """
        ...


@runtime_checkable
class CredentialProvider(Protocol):
    """Resolves credentials, inside activities only."""

    async def get_credentials(self, group_id: str, provider_name: str) -> Mapping[str, str]: ...


@runtime_checkable
class SecretStore(Protocol):
    """Where the values of secret variables are that came with workflows: beside the runs, where
    their workers find them. ``scope`` is a hash that names a group and a workflow."""

    def keep(self, scope: str, values: Mapping[str, str]) -> None:
        """Add or replace; raises EngineError when there is no place for them."""
        ...

    def find(self, scope: str, name: str) -> str | None: ...


@runtime_checkable
class AuditLogger(Protocol):
    """Takes audit events; must not raise."""

    def log_event(self, event: Mapping[str, Any]) -> None: ...


@runtime_checkable
class ResourceGovernor(Protocol):
    """Counts what a group uses and refuses what is too much."""

    async def check_workflow_start(self, group_id: str) -> None: ...
    async def record_workflow_start(self, group_id: str, workflow_id: str) -> None: ...
    async def record_workflow_end(self, group_id: str, workflow_id: str) -> None: ...


@runtime_checkable
class AdmittingGovernor(ResourceGovernor, Protocol):
    """One that checks and counts a run in one step, and may let it wait."""

    async def admit(self, group_id: str, ask: RunAsks) -> Verdict:
        """Never waits for a place. The same run has one, however often it asks."""
        ...


@runtime_checkable
class CountingGovernor(ResourceGovernor, Protocol):
    """One that counts calls, and learns of their tokens afterwards (spec/runtime.md 6.5)."""

    async def check_http_rate(self, group_id: str) -> None:
        """Count one request. Raises NodeError ``resource_limit_exceeded``."""
        ...

    async def check_llm_request(self, group_id: str, estimated_tokens: int) -> None: ...
    async def record_llm_usage(self, group_id: str, usage: LlmUsage) -> None: ...


class Reservation(Protocol):
    """A part of a group's budgets that was set aside for one call."""

    def settle(self, used: Mapping[Kind, int]) -> None:
        """Count what the call really used, and give the rest back; what is not named was not
        used. Called once, and returns at once."""
        ...


@runtime_checkable
class BudgetGovernor(ResourceGovernor, Protocol):
    """One that sets a part of the group's budgets aside before a call."""

    @property
    def usage_quota(self) -> UsageQuota: ...

    async def reserve(
        self, charges: Mapping[Kind, int], *, patience_secs: float = 0.0
    ) -> Reservation:
        """Set amounts aside; kinds without a budget are free. Raises NodeError
        ``resource_limit_exceeded`` when a budget is used up, and BudgetBusyError when within
        ``patience_secs`` it did not turn out whether others leave enough of it."""
        ...


@runtime_checkable
class YieldHearer(Protocol):
    """A governor that hears through a workflow of its own that a run gives its place back."""

    @property
    def yields_to(self) -> str:
        """The workflow's id."""
        ...


@runtime_checkable
class MemoryProvider(Protocol):
    """Keeps values beyond a run, by namespace and key (spec/runtime.md 3.8)."""

    async def store(
        self,
        namespace: str,
        key: str,
        value: JsonValue,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> None:
        """Add, or replace what is there."""
        ...

    async def recall(
        self,
        namespace: str,
        *,
        key: str | None = None,
        query_text: str | None = None,
        filter: Mapping[str, JsonValue] | None = None,  # noqa: A002 - the node's own word
        top_k: int | None = None,
    ) -> Sequence[Mapping[str, JsonValue]]:
        """Entries with ``id``, ``namespace``, ``key``, ``value``, and where known more."""
        ...

    async def delete(self, namespace: str, key: str) -> None: ...
    async def clear_namespace(self, namespace: str) -> None: ...


class DeltaSink(Protocol):
    """Where a node puts the pieces of its outputs while it makes them, for whoever reads live."""

    def put(self, variable: str, text: str) -> None:
        """Take the next piece of an output. Returns at once, and does not raise."""
        ...


@runtime_checkable
class StreamStore(Protocol):
    """Keeps the live pieces of outputs beside histories. Shared by workers and readers."""

    async def append(self, key: StreamKey, deltas: Sequence[Delta]) -> None:
        """Add the deltas that are not there yet. A writer that is not the first of its node tells
        so, even without deltas; one that has a newer one after it is not heard."""
        ...

    async def read(self, run_id: str, after: int = 0, *, limit: int = 1000) -> list[StreamItem]:
        """The items of a run after a cursor, in their order."""
        ...

    def follow(self, run_id: str, after: int = 0) -> AsyncGenerator[StreamItem]:
        """The items of a run, also those to come. It never ends by itself: close it."""
        ...

    async def delete_run(self, run_id: str) -> None: ...
    async def delete_older_than(self, days: float) -> int: ...
    async def aclose(self) -> None: ...


TemplateFunction = Callable[..., JsonValue]


@dataclass(frozen=True, slots=True)
class Ports:
    """What one execution of a node is lent. Valid until ``execute`` returns; never kept.

    ``stream`` asks for pieces where a node could also wait for the whole, and ``deltas`` takes them
    while they come; None where nobody reads along.
    """

    sandbox: SandboxPool
    http: HttpClient
    time: TimeProvider
    llm: LlmProviders
    files: FileStore
    group_id: str | None = None
    idempotency_key: str = ""
    sandbox_limits: SandboxLimits = field(default_factory=SandboxLimits)
    max_response_bytes: int | None = None
    credential_provider: CredentialProvider | None = None
    audit_logger: AuditLogger | None = None
    strict_template: bool = False
    stream: bool = False
    deltas: DeltaSink | None = None

"""The one tree of errors.

::

    EngineError                      code, text for people, never a traceback for users
    ├── DslError                     a file that cannot be run
    │   ├── DslParseError            text that is no YAML, JSON or TOML, or not of the right shape
    │   ├── CompileError             a graph that has no plan, of a client that validates nothing
    │   └── ValidationFailed         carries the whole report of diagnostics
    ├── InputError                   inputs of a run that its start node refuses
    ├── NodeError                    one node failed; carries a NodeFailure
    │   ├── BudgetBusyError          others hold what is left of a budget: ask again
    │   │   └── GovernorAwayError    who counts for a group does not answer: ask again
    │   ├── EgressRefused            a network policy let nothing out; names the rule
    │   ├── OutputTooLargeError      more than its level allows; neither retried nor tolerated
    │   └── SandboxError             code or a template failed inside a sandbox process
    ├── CredentialError              credentials that cannot be had
    │   └── CredentialNotFoundError  there are none under that name
    ├── RunError                     the run as a whole
    ├── ConfigurationError           a configuration file that says what cannot be
    ├── MisuseError                  the API was used in a way that cannot work; names the remedy
    └── InfrastructureError          no server, no binary, no worker: nothing wrong with the
    workflow

Every leaf has a stable ``code``. What crosses a boundary is data (``NodeFailure``), never an
exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from xworkflow.domain.diagnostics import Report

Severity = Literal["warning", "error", "fatal"]

# spec/graph.md 6.1: text prefix and default retryability of the kinds that carry no context
_KINDS: dict[str, tuple[str, bool]] = {
    "config_error": ("Configuration error: ", False),
    "variable_not_found": ("Variable not found: ", False),
    "execution_error": ("Execution error: ", False),
    "type_error": ("Type error: ", False),
    "template_error": ("Template error: ", False),
    "input_validation_error": ("Input validation error: ", False),
    "serialization_error": ("Serialization error: ", False),
    "http_error": ("HTTP error: ", True),
    "sandbox_error": ("Sandbox error: ", False),
    "event_send_error": ("Event send error: ", False),
}


class NodeFailure(BaseModel):
    """Why one attempt of a node failed, as it crosses from an activity and into events.

    ``code`` is the event's ``error_type``; ``text`` is what people read. ``retryable`` decides
    whether ``retry_config`` applies; ``retry_after_secs`` (from a server) overrides its interval.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    text: str
    retryable: bool = False
    severity: Severity = "error"
    retry_after_secs: float | None = None
    http_status: int | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def of_kind(cls, kind: str, message: str, *, retryable: bool | None = None) -> NodeFailure:
        """A failure without context: the text gets the kind's prefix (spec/graph.md 6.1)."""
        prefix, default = _KINDS[kind]
        return cls(
            code=kind, text=prefix + message, retryable=default if retryable is None else retryable
        )

    @classmethod
    def timeout(cls, text: str) -> NodeFailure:
        """A time limit of the node was passed; retryable."""
        return cls(code="timeout", text=text, retryable=True)

    def detail(self) -> dict[str, Any]:
        """The error detail of events: the context, or its minimal form (spec/graph.md 6.1)."""
        detail: dict[str, Any] = {
            "code": self.code,
            "message": self.text,
            "retryability": "retryable" if self.retryable else "non_retryable",
            "severity": self.severity,
        }
        if self.retry_after_secs is not None:
            detail["retry_after_secs"] = self.retry_after_secs
        if self.http_status is not None:
            detail["http_status"] = self.http_status
        if self.metadata:
            detail["metadata"] = self.metadata
        return detail


class EngineError(Exception):
    """Root of all errors that xworkflow raises on purpose."""

    code: str = "internal_error"


class DslError(EngineError):
    """A workflow file cannot be run."""

    code = "dsl_error"


class DslParseError(DslError):
    """The text cannot be read as a workflow; the message starts with ``DSL parse error:``."""

    code = "dsl_parse_error"

    def __init__(self, detail: str, *, line: int | None = None) -> None:
        super().__init__(f"DSL parse error: {detail}")
        self.detail = detail
        self.line = line


class ValidationFailed(DslError):  # noqa: N818 - the reference's name (spec/graph.md 2.1)
    """Validation refused the workflow ``source``; ``report`` holds every diagnostic."""

    code = "validation_failed"

    def __init__(self, report: Report, source: str = "the workflow") -> None:
        super().__init__("Validation failed")
        self.report = report
        self.source = source


class InputError(EngineError):
    """The inputs of a run do not satisfy its start node; ``problems`` has one sentence for each."""

    code = "input_validation_error"

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class NodeError(EngineError):
    """One node failed; ``failure`` is what crosses borders and lands in events."""

    def __init__(self, failure: NodeFailure) -> None:
        super().__init__(failure.text)
        self.failure = failure
        self.code = failure.code

    @classmethod
    def of_kind(cls, kind: str, message: str, *, retryable: bool | None = None) -> NodeError:
        return cls(NodeFailure.of_kind(kind, message, retryable=retryable))


SandboxCode = Literal[
    "sandbox_timeout",
    "sandbox_memory_limit",
    "sandbox_compilation_error",
    "sandbox_execution_error",
    "sandbox_dangerous_code",
]


class SandboxError(NodeError):
    """Code or a template failed inside a sandbox process (spec/runtime.md 2.6)."""

    def __init__(self, code: SandboxCode, text: str) -> None:
        super().__init__(NodeFailure(code=code, text=text, retryable=code == "sandbox_timeout"))


class CredentialError(EngineError):
    """Credentials that cannot be had; the text of spec/runtime.md 6.6, and no value in it."""

    code = "credential_error"

    @classmethod
    def not_found(cls, group_id: str, provider: str) -> CredentialNotFoundError:
        return CredentialNotFoundError(
            f"Credential not found: group={group_id}, provider={provider}"
        )

    @classmethod
    def denied(cls, reason: str) -> CredentialError:
        return cls(f"Credential access denied: {reason}")

    @classmethod
    def broken(cls, reason: str) -> CredentialError:
        return cls(f"Credential provider error: {reason}")


class CredentialNotFoundError(CredentialError):
    """There is nothing under that name."""

    code = "credential_not_found"


class BudgetBusyError(NodeError):
    """What is left of a budget is set aside for calls that have not ended: ask again soon."""

    def __init__(self, text: str, *, quota_type: str = "", limit: int = 0) -> None:
        # all of it is in use: set aside counts
        metadata = {"quota_type": quota_type, "limit": limit, "current": limit}
        super().__init__(
            NodeFailure(
                code="resource_limit_exceeded", text=text, retryable=True, metadata=metadata
            )
        )


class GovernorAwayError(BudgetBusyError):
    """Who counts for a group does not answer, so nothing may start: ask again soon. The message
    says where it should be, and what to do."""

    def __init__(self, text: str) -> None:
        failure = NodeFailure(code="governor_unavailable", text=text, retryable=True)
        NodeError.__init__(self, failure)


class RunError(EngineError):
    """The run as a whole failed; the message is the text of spec/graph.md 6.4."""

    code = "run_error"


class ConfigurationError(EngineError):
    """A configuration file says what cannot be; ``problems`` has one sentence for each place."""

    code = "configuration_error"

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class MisuseError(EngineError):
    """The API was used in a way that cannot work; the message names the remedy."""

    code = "misuse"


class InfrastructureError(EngineError):
    """A server, binary or worker that is needed is not there; exit code 3 of the commands."""

    code = "infrastructure"

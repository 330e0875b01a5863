"""Cases: a workflow, what it gets, and what must come out, as a folder of TOML files.

==================  ===========================================================================
file                content
==================  ===========================================================================
``workflow.toml``   the workflow (also ``workflow.yml``, ``.yaml``, ``.json``)
``in.toml``         user inputs
``state.toml``      the surroundings: ``Surroundings``
``out.toml``        what must come out: ``Expectation``
``debug.toml``      what a debugger's user does meanwhile: ``DebugScript``
==================  ===========================================================================

The format is that of spec/graph.md 10. Our own additions are ``mock_nodes``, ``security_level``,
``security``, ``quota``, ``usage_quota`` and ``credentials``, and what is expected as ``error_code``
and ``audit``. Unknown keys are ignored.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from xworkflow.domain.governing import UsageQuota
from xworkflow.domain.network_policy import NetworkPolicy
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.quota import DslLimits, ResourceQuota, SecurityLevel, SecurityPolicy
from xworkflow.domain.security_limits import NodeLimits, TemplateSafetyConfig
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import MockNode
from xworkflow.errors import InputError
from xworkflow.testing.debug_script import DebugScript
from xworkflow.testing.mock_server import MockResponse
from xworkflow.testing.recorded_audit import ExpectedRecord

WORKFLOW_FILES = ("workflow.toml", "workflow.yml", "workflow.yaml", "workflow.json")

_NO_OUTPUTS = "outputs_json must be the text of a JSON object"

Model = TypeVar("Model", bound=BaseModel)


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Expectation(_Table):
    """``out.toml``; ``outputs_json`` is laid over ``outputs``, as TOML has no null.

    ``error_code`` is that of a node's failure, of a diagnostic, or the run's kind of error. With
    ``audit`` the group's audit log must hold these records and no others.
    """

    status: Literal["completed", "failed", "failed_with_recovery"] = "completed"
    outputs: dict[str, JsonValue] = Field(default_factory=dict)
    outputs_json: str | None = None
    partial_match: bool = False
    error_contains: str | None = None
    error_code: str | None = None
    audit: tuple[ExpectedRecord, ...] | None = None

    @field_validator("outputs_json")
    @classmethod
    def _holds_an_object(cls, text: str | None) -> str | None:
        if text is not None and not isinstance(_json(text), dict):
            raise ValueError(_NO_OUTPUTS)
        return text

    def expected_outputs(self) -> dict[str, JsonValue]:
        """Both kinds of outputs together."""
        return {**self.outputs, **_json(self.outputs_json or "{}")}


class FakeTime(_Table):
    """The run's clock stands still at these Unix seconds."""

    fixed_timestamp: int


class FakeId(_Table):
    """Ids are ``prefix-0``, ``prefix-1``, …"""

    prefix: str


class OpenAiTable(_Table):
    """A provider of models; its address is the mock server's ``/v1`` where none is given."""

    api_key: str
    base_url: str | None = None
    org_id: str | None = None
    default_model: str = "gpt-4o"


class ProvidersTable(_Table):
    openai: OpenAiTable | None = None


class SecurityTable(_Table):
    """Parts of a policy in place of those of its level."""

    network: NetworkPolicy | None = None
    template: TemplateSafetyConfig | None = None
    dsl_validation: DslLimits | None = None
    node_limits: dict[str, NodeLimits] | None = None


class Surroundings(_Table):
    """``state.toml``."""

    security_level: SecurityLevel | None = None
    security: SecurityTable = SecurityTable()
    quota: ResourceQuota | None = None
    """Counted in the worker's process, as the reference does."""
    usage_quota: UsageQuota | None = None
    """Counted by the group's ledger on the server."""
    credentials: dict[str, dict[str, str]] | None = None
    """What the group's provider of credentials has, by the name of a provider of models."""

    config: EngineConfig | None = None
    system_variables: dict[str, JsonValue] = Field(default_factory=dict)
    environment_variables: dict[str, JsonValue] = Field(default_factory=dict)
    conversation_variables: dict[str, JsonValue] = Field(default_factory=dict)
    fake_time: FakeTime | None = None
    fake_id: FakeId | None = None
    mock_server: tuple[MockResponse, ...] = ()
    mock_nodes: dict[str, MockNode] = Field(default_factory=dict)
    llm_providers: ProvidersTable = ProvidersTable()
    plugin_system: dict[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One case, read whole."""

    name: str
    workflow: Path
    inputs: dict[str, JsonValue]
    state: Surroundings
    expectation: Expectation
    debug: DebugScript | None = None
    needs: str | None = None
    """What the case needs and this version does not have; such a case is skipped."""


def policy_of(state: Surroundings) -> SecurityPolicy | None:
    """The security policy of a case's group; none without a level."""
    if state.security_level is None:
        return None
    policy = SecurityPolicy.of_level(state.security_level)
    given = {name: getattr(state.security, name) for name in state.security.model_fields_set}
    if given.get("node_limits") is not None:
        given["node_limits"] = {**policy.node_limits, **given["node_limits"]}
    return replace(policy, **given)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a case went; ``problems`` has a line for each difference, or the reason of a skip."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    problems: tuple[str, ...] = ()
    seconds: float = 0.0


def find_cases(folder: Path) -> list[Path]:
    """Every folder below (or the folder itself) that holds a workflow, by name."""
    found = {path.parent for name in WORKFLOW_FILES for path in folder.rglob(name)}
    return sorted(found)


def read_case(folder: Path) -> Case:
    """Read a case. Raises InputError with the place for what is broken."""
    workflow = next((folder / n for n in WORKFLOW_FILES if (folder / n).exists()), None)
    if workflow is None:
        raise InputError((f"{folder}: there is no {' or '.join(WORKFLOW_FILES)}",))
    state = _read(Surroundings, folder / "state.toml")
    needs = None if state.plugin_system is None else "plugins"
    script = folder / "debug.toml"
    debug = _read(DebugScript, script) if script.exists() else None
    expectation = _read(Expectation, folder / "out.toml")
    inputs = _toml(folder / "in.toml")
    return Case(folder.name, workflow, inputs, state, expectation, debug, needs)


def _read(model: type[Model], path: Path) -> Model:
    """A TOML file as a model. Raises InputError with a sentence for each field that is wrong."""
    try:
        return model.model_validate(_toml(path))
    except ValidationError as error:
        problems = (
            f"{path}, '{'.'.join(map(str, problem['loc']))}': {problem['msg']}"
            for problem in error.errors()
        )
        raise InputError(tuple(problems)) from None


def _toml(path: Path) -> dict[str, Any]:
    """A TOML file as JSON data (date-times become texts); empty when there is none."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError((f"{path}: cannot be read: {error}",)) from None
    try:
        return json.loads(json.dumps(tomllib.loads(text), default=str))
    except ValueError as error:
        raise InputError((f"{path}: {error}",)) from None


def _json(text: str) -> Any:  # noqa: ANN401 - JSON
    """A JSON text's value. Raises ValueError."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{_NO_OUTPUTS}: {error}") from None

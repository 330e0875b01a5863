"""Cases: a workflow, what it gets, and what must come out, as a folder of TOML files.

==================  ===========================================================================
file                content
==================  ===========================================================================
``workflow.toml``   the workflow (also ``workflow.yml``, ``.yaml``, ``.json``)
``in.toml``         user inputs
``state.toml``      ``config``, ``system_variables``, ``environment_variables``,
                    ``conversation_variables``, ``fake_time.fixed_timestamp``, ``fake_id.prefix``,
                    ``mock_server[]``, ``mock_nodes.<node id>`` with ``outputs`` or ``error``
``out.toml``        ``status``, ``outputs``, ``outputs_json``, ``partial_match``, ``error_contains``
==================  ===========================================================================

The format is that of spec/graph.md 10; ``mock_nodes`` is our own addition.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field
from temporalio.client import Client

from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed, ExecutionStatus, Failed, FailedWithRecovery
from xworkflow.context import WorkflowContext
from xworkflow.domain.loading import format_of, load
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.values import JsonValue, compact_json
from xworkflow.domain.wire import MockNode
from xworkflow.errors import DslParseError, EngineError, InputError, ValidationFailed
from xworkflow.providers import FakeIdGenerator, FakeTimeProvider
from xworkflow.testing.mock_server import MockResponse, MockServer

WORKFLOW_FILES = ("workflow.toml", "workflow.yml", "workflow.yaml", "workflow.json")
_UNSUPPORTED = "E050"


class Expectation(BaseModel):
    """``out.toml``."""

    model_config = ConfigDict(extra="ignore")

    status: Literal["completed", "failed", "failed_with_recovery"] = "completed"
    outputs: dict[str, JsonValue] = Field(default_factory=dict)
    outputs_json: str | None = None
    partial_match: bool = False
    error_contains: str | None = None

    def expected_outputs(self) -> dict[str, JsonValue]:
        more = json.loads(self.outputs_json) if self.outputs_json else {}
        return {**self.outputs, **more}


@dataclass(frozen=True, slots=True)
class Case:
    """One case, read whole."""

    name: str
    workflow: Path
    inputs: dict[str, JsonValue]
    state: dict[str, Any]
    expectation: Expectation
    needs: str | None = None
    """What the case needs and this version does not have; such a case is skipped."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a case went; ``problems`` has a line for each difference, or the reason of a skip."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    problems: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Outcome:
    status: str
    outputs: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    error: str = ""


def find_cases(folder: Path) -> list[Path]:
    """Every folder below (or the folder itself) that holds a workflow, by name."""
    found = {path.parent for name in WORKFLOW_FILES for path in folder.rglob(name)}
    return sorted(found)


def read_case(folder: Path) -> Case:
    """Read a case. Raises InputError with the place for a file that is broken."""
    workflow = next(folder / name for name in WORKFLOW_FILES if (folder / name).exists())
    state = _toml(folder / "state.toml")
    try:
        expectation = Expectation.model_validate(_toml(folder / "out.toml"))
    except ValueError as error:
        raise InputError((f"{folder / 'out.toml'}: {error}",)) from None
    needs = None
    if (folder / "debug.toml").exists():
        needs = "the debugger"
    elif "plugin_system" in state:
        needs = "plugins"
    return Case(folder.name, workflow, _toml(folder / "in.toml"), state, expectation, needs)


async def run_case(case: Case, client: Client, task_queue: str) -> Verdict:
    """Run a case on Temporal and compare. Never raises for what a case can do wrong."""
    if case.needs is not None:
        return Verdict(case.name, "skipped", (f"needs {case.needs}",))
    mocks = tuple(MockResponse.from_table(t) for t in case.state.get("mock_server", ()))
    with MockServer(mocks) if mocks else nullcontext() as server:
        try:
            outcome = await _outcome(case, client, task_queue, server)
        except ValidationFailed as error:
            missing = [d.message for d in error.report.errors if d.code == _UNSUPPORTED]
            if missing:
                return Verdict(case.name, "skipped", tuple(missing))
            outcome = _Outcome("failed", error=str(error))
            detail = tuple(f"{d.code} {d.node_id or ''} {d.message}" for d in error.report.errors)
            return _judged(case, outcome, detail)
        except InputError as error:
            outcome = _Outcome("failed", error=str(error))
        except DslParseError as error:
            return Verdict(case.name, "failed", (f"the case is broken: {error}",))
        except EngineError as error:
            return Verdict(case.name, "failed", (str(error),))
    return _judged(case, outcome, ())


async def _outcome(
    case: Case, client: Client, task_queue: str, server: MockServer | None
) -> _Outcome:
    state = case.state
    schema = load(case.workflow.read_bytes(), format_of(case.workflow.name), name=case.name)
    system = dict(state.get("system_variables", {}))
    if server is not None:
        system.setdefault("base_url", server.url)
    builder = (
        WorkflowRunner.builder(schema)
        .context(_context(state))
        .user_inputs(case.inputs)
        .system_vars(system)
        .environment_vars(state.get("environment_variables", {}))
        .conversation_vars(state.get("conversation_variables", {}))
        .mock_nodes(_mocks(state))
        .client(client, task_queue=task_queue)
    )
    if "config" in state:
        builder.config(EngineConfig.model_validate(state["config"]))
    return _outcome_of(await (await builder.run()).wait())


def _context(state: Mapping[str, Any]) -> WorkflowContext:
    context = WorkflowContext.default()
    if "fake_time" in state:
        context = context.with_time_provider(
            FakeTimeProvider(int(state["fake_time"]["fixed_timestamp"]))
        )
    if "fake_id" in state:
        context = context.with_id_generator(FakeIdGenerator(str(state["fake_id"]["prefix"])))
    return context


def _mocks(state: Mapping[str, Any]) -> dict[str, MockNode]:
    tables = cast("dict[str, Any]", state.get("mock_nodes", {}))
    return {node_id: MockNode.model_validate(table) for node_id, table in tables.items()}


def _outcome_of(status: ExecutionStatus) -> _Outcome:
    match status:
        case Completed(outputs):
            return _Outcome("completed", outputs)
        case FailedWithRecovery(error, outputs):
            return _Outcome("failed_with_recovery", outputs, error)
        case Failed(message):
            return _Outcome("failed", error=message)
        case _:
            return _Outcome(type(status).__name__.lower())


def _judged(case: Case, outcome: _Outcome, detail: tuple[str, ...]) -> Verdict:
    problems = differences(case.expectation, outcome.status, outcome.outputs, outcome.error)
    if problems:
        return Verdict(case.name, "failed", (*problems, *detail))
    return Verdict(case.name, "passed")


def differences(
    expected: Expectation, status: str, outputs: Mapping[str, JsonValue], error: str
) -> list[str]:
    """What is not as expected, a line each; strict JSON, so 4 is not 4.0 and null not absent."""
    problems: list[str] = []
    if status != expected.status:
        problems.append(f"status: expected {expected.status}, got {status} {error}".rstrip())
    wanted = expected.expected_outputs()
    if expected.status != "failed":
        problems += _differing_outputs(wanted, outputs, partial=expected.partial_match)
    if expected.error_contains is not None and expected.error_contains not in error:
        problems.append(f"error: expected to contain {expected.error_contains!r}, got {error!r}")
    return problems


def _differing_outputs(
    wanted: Mapping[str, JsonValue], got: Mapping[str, JsonValue], *, partial: bool
) -> list[str]:
    problems = [
        f"output {key}: expected {compact_json(value)}, "
        f"got {compact_json(got[key]) if key in got else 'nothing'}"
        for key, value in wanted.items()
        if key not in got or not same_json(value, got[key])
    ]
    if not partial:
        extra = [key for key in got if key not in wanted]
        problems += [f"output {key}: not expected, got {compact_json(got[key])}" for key in extra]
    return problems


def same_json(one: JsonValue, other: JsonValue) -> bool:
    """Strict equality: types count, the order of keys does not."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        left, right = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return left.keys() == right.keys() and all(same_json(v, right[k]) for k, v in left.items())
    if isinstance(one, list):
        first, second = cast("list[Any]", one), cast("list[Any]", other)
        return len(first) == len(second) and all(map(same_json, first, second))
    return bool(one == other)


def _toml(path: Path) -> dict[str, Any]:
    """A TOML file as JSON data (date-times become texts); empty when there is none."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    try:
        return json.loads(json.dumps(tomllib.loads(text), default=str))
    except ValueError as error:
        raise InputError((f"{path}: {error}",)) from None

"""Running cases on Temporal, with the worker and the servers that they need."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from temporalio.client import Client

from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.standing import Standing
from xworkflow.client.status import (
    Completed,
    ExecutionStatus,
    Failed,
    FailedWithRecovery,
    Paused,
    Stopped,
    WaitingForInput,
)
from xworkflow.context import WorkflowContext
from xworkflow.domain.loading import format_of, load
from xworkflow.domain.values import JsonValue
from xworkflow.errors import DslParseError, EngineError, InputError, ValidationFailed
from xworkflow.providers import FakeIdGenerator, FakeTimeProvider
from xworkflow.testing.cases import Case, Surroundings, Verdict, read_case
from xworkflow.testing.comparison import differences
from xworkflow.testing.debug_script import play
from xworkflow.testing.mock_server import MockServer
from xworkflow.testing.recorded_audit import audit_differences, leaked

if TYPE_CHECKING:  # a worker loads slowly, and only running cases needs one
    from xworkflow.testing.case_groups import CaseGroup
    from xworkflow.testing.case_workers import CaseWorkers

SIDE_BY_SIDE: Final = 4
"""So many cases run at once: most wait for the server half of the time."""

_UNSUPPORTED: Final = frozenset({"E050"})


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a run ended; ``detail`` says more in case that was not expected. ``codes`` are those of
    all that failed on the way."""

    status: str
    outputs: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    error: str = ""
    codes: tuple[str, ...] = ()
    detail: tuple[str, ...] = ()


async def run_folders(
    folders: Sequence[Path], client: Client, done: Callable[[Verdict], None] | None = None
) -> list[Verdict]:
    """Run the cases in these folders, with a worker of our own on a task queue of our own.

    A few run side by side; ``done`` hears of each that is over. The verdicts are in the order of
    the folders. A case that is broken has failed.
    """
    from xworkflow.runtime_group.group import RuntimeGroup
    from xworkflow.testing.case_workers import CaseWorkers
    from xworkflow.worker import build_worker

    group, queue = RuntimeGroup.default(), f"xworkflow-test-{uuid.uuid4()}"
    workers = CaseWorkers(client, group, queue)
    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(folder: Path) -> Verdict:
        async with places:
            verdict = await _timed(folder, workers)
            if done is not None:
                done(verdict)
            return verdict

    try:
        async with build_worker(client, group, queue=queue):
            return list(await asyncio.gather(*(one(folder) for folder in folders)))
    finally:
        await group.aclose()


async def _timed(folder: Path, workers: CaseWorkers) -> Verdict:
    began = time.monotonic()
    try:
        verdict = await run_case(read_case(folder), workers)
    except InputError as error:
        verdict = Verdict(folder.name, "failed", error.problems)
    return replace(verdict, seconds=time.monotonic() - began)


async def run_case(case: Case, workers: CaseWorkers) -> Verdict:
    """Run a case on Temporal and compare. Never raises for what a case can do wrong."""
    from xworkflow.testing.case_groups import group_of

    if case.needs is not None:
        return Verdict(case.name, "skipped", (f"needs {case.needs}",))
    mocks = case.state.mock_server
    problems: list[str] = []
    with MockServer(mocks) if mocks else nullcontext() as server:
        own = group_of(case, workers.group, None if server is None else server.url)
        try:
            outcome, problems = await _run(case, workers, own, server)
        except ValidationFailed as error:
            unsupported = [d.message for d in error.report.errors if d.code in _UNSUPPORTED]
            if unsupported:
                return Verdict(case.name, "skipped", tuple(dict.fromkeys(unsupported)))
            outcome = _refused(error)
        except InputError as error:
            outcome = _Outcome("failed", error=str(error))
        except DslParseError as error:
            return Verdict(case.name, "failed", (f"{case.workflow}: {error}",))
        except EngineError as error:
            return Verdict(case.name, "failed", (str(error),))
    wanted = case.expectation
    found = problems + differences(wanted, outcome.status, outcome.outputs, outcome.error)
    if wanted.error_code is not None and wanted.error_code not in outcome.codes:
        got = ", ".join(outcome.codes) or "none"
        found.append(f"error_code: expected {wanted.error_code}, got {got}")
    if own is not None:
        found += _audited(case, own)
    if found:
        return Verdict(case.name, "failed", (*found, *outcome.detail))
    return Verdict(case.name, "passed")


def _audited(case: Case, own: CaseGroup) -> list[str]:
    """What the audit log should have been told, and what nobody may be told."""
    credentials = (case.state.credentials or {}).values()
    secrets = [secret for given in credentials for secret in given.values()]
    problems = leaked(secrets, own.audit.records)
    if case.expectation.audit is not None:
        problems += audit_differences(case.expectation.audit, own.audit.records)
    return problems


async def _run(
    case: Case, workers: CaseWorkers, own: CaseGroup | None, server: MockServer | None
) -> tuple[_Outcome, list[str]]:
    """How the run ended, and what was not as the debugger's user expected."""
    state = case.state
    schema = load(case.workflow.read_bytes(), format_of(case.workflow.name), name=case.name)
    address: dict[str, JsonValue] = {} if server is None else {"base_url": server.url}
    builder = (
        WorkflowRunner.builder(schema)
        .context(_context(state, own))
        .user_inputs(case.inputs)
        .system_vars({**address, **state.system_variables})
        .environment_vars(state.environment_variables)
        .conversation_vars(state.conversation_variables)
        .mock_nodes(state.mock_nodes)
    )
    if state.config is not None:
        builder.config(state.config)
    if case.debug is not None:
        builder.debug(case.debug.config)
    async with workers.queue_for(own) as queue:
        handle = await builder.client(workers.client, task_queue=queue).run()
        problems = [] if case.debug is None else await play(case.debug, handle)
        if not problems:
            problems = await _stuck(handle)
        if problems:
            await handle.cancel()  # it may stand where nobody lets it go on
        outcome = _outcome_of(await handle.wait())
        if case.expectation.error_code is not None:
            outcome = replace(outcome, codes=(*outcome.codes, *await _codes(handle)))
        return outcome, problems


async def _codes(handle: WorkflowHandle) -> list[str]:
    """The codes of the failures of nodes, tolerated ones included."""
    failures = ("node_run_failed", "node_run_exception")
    return [
        str(event.data.get("error_type"))
        async for event in handle.events()
        if event.type in failures
    ]


async def _stuck(handle: WorkflowHandle) -> list[str]:
    """Follow a run to its end, or to where it needs what no case has: another step of the debugger,
    or a person."""
    standing = Standing()
    async with aclosing(handle.read()) as batches:
        async for feed, new in batches:
            standing.take(feed, new)
            if standing.is_caught_up and standing.needs_somebody:
                # what was read may be long past: the run itself knows whether it still stands there
                match await handle.status():
                    case Paused():
                        return ["the run stands at a pause that no step is for"]
                    case WaitingForInput(waiting):
                        nodes = ", ".join(sorted({asked.node_id for asked in waiting}))
                        return [f"the run waits for a person, at {nodes}: mock the node"]
                    case _:
                        pass
    return []


def _context(state: Surroundings, own: CaseGroup | None) -> WorkflowContext:
    context = WorkflowContext.default() if own is None else WorkflowContext.new(own.group)
    if state.fake_time is not None:
        context = context.with_time_provider(FakeTimeProvider(state.fake_time.fixed_timestamp))
    if state.fake_id is not None:
        context = context.with_id_generator(FakeIdGenerator(state.fake_id.prefix))
    return context


def _outcome_of(status: ExecutionStatus) -> _Outcome:
    match status:
        case Completed(outputs):
            return _Outcome("completed", outputs)
        case FailedWithRecovery(error, outputs):
            return _Outcome("failed_with_recovery", outputs, error)
        case Failed(message, kind):
            return _Outcome("failed", error=message, codes=(kind,))
        case Stopped(message):  # an aborted run has failed (spec/graph.md 6.4)
            return _Outcome("failed", error=message)
        case _:
            return _Outcome(type(status).__name__.lower())


def _refused(error: ValidationFailed) -> _Outcome:
    """A workflow that validation refuses counts as failed (spec/graph.md 10.1)."""
    detail = tuple(
        f"{d.code} {f'node {d.node_id!r}: ' if d.node_id else ''}{d.message}"
        for d in error.report.errors
    )
    codes = tuple(d.code for d in error.report.errors)
    return _Outcome("failed", error=str(error), codes=codes, detail=detail)

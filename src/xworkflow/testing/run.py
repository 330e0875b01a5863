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
from xworkflow.testing.cases import Case, Surroundings, Verdict, policy_of, read_case
from xworkflow.testing.comparison import differences
from xworkflow.testing.debug_script import play
from xworkflow.testing.mock_server import MockServer

if TYPE_CHECKING:  # a worker loads slowly, and only running cases needs one
    from xworkflow.testing.case_workers import CaseWorkers

SIDE_BY_SIDE: Final = 4
"""So many cases run at once: most wait for the server half of the time."""

_UNSUPPORTED: Final = frozenset({"E050"})


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a run ended; ``detail`` says more in case that was not expected."""

    status: str
    outputs: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    error: str = ""
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
    if case.needs is not None:
        return Verdict(case.name, "skipped", (f"needs {case.needs}",))
    mocks = case.state.mock_server
    problems: list[str] = []
    with MockServer(mocks) if mocks else nullcontext() as server:
        try:
            status, problems = await _run(case, workers, server)
            outcome = _outcome_of(status)
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
    found = problems + differences(case.expectation, outcome.status, outcome.outputs, outcome.error)
    if found:
        return Verdict(case.name, "failed", (*found, *outcome.detail))
    return Verdict(case.name, "passed")


async def _run(
    case: Case, workers: CaseWorkers, server: MockServer | None
) -> tuple[ExecutionStatus, list[str]]:
    """How the run ended, and what was not as the debugger's user expected."""
    state = case.state
    schema = load(case.workflow.read_bytes(), format_of(case.workflow.name), name=case.name)
    address: dict[str, JsonValue] = {} if server is None else {"base_url": server.url}
    builder = (
        WorkflowRunner.builder(schema)
        .context(_context(state))
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
    url = None if server is None else server.url
    policy = policy_of(state)
    async with workers.queue_for(state.llm_providers.openai, url, policy) as queue:
        handle = await builder.client(workers.client, task_queue=queue).run()
        problems = [] if case.debug is None else await play(case.debug, handle)
        if not problems:
            problems = await _stuck(handle)
        if problems:
            await handle.cancel()  # it may stand where nobody lets it go on
        return await handle.wait(), problems


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


def _context(state: Surroundings) -> WorkflowContext:
    context = WorkflowContext.default()
    policy = policy_of(state)
    if policy is not None:
        context.update_runtime_group(lambda group: group.replaced(security_policy=policy))
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
        case Failed(message) | Stopped(message):  # an aborted run has failed (spec/graph.md 6.4)
            return _Outcome("failed", error=message)
        case _:
            return _Outcome(type(status).__name__.lower())


def _refused(error: ValidationFailed) -> _Outcome:
    """A workflow that validation refuses counts as failed (spec/graph.md 10.1)."""
    detail = tuple(
        f"{d.code} {f'node {d.node_id!r}: ' if d.node_id else ''}{d.message}"
        for d in error.report.errors
    )
    return _Outcome("failed", error=str(error), detail=detail)

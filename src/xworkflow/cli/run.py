"""``xworkflow run``: run one workflow file, and watch it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from xworkflow.cli.app import run_async
from xworkflow.cli.exit_codes import ExitCode, code_of
from xworkflow.cli.files import gather_inputs, load_workflow
from xworkflow.cli.place import Place, server_place, worker_at
from xworkflow.cli.printing import output, print_error, print_json, print_note
from xworkflow.cli.progress import Progress
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner, WorkflowRunnerBuilder
from xworkflow.client.status import (
    Completed,
    ExecutionStatus,
    Failed,
    FailedWithRecovery,
    Stopped,
)
from xworkflow.context import WorkflowContext
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.wire import task_queue
from xworkflow.errors import InfrastructureError

EXAMPLES = """
Run a workflow file (a Dify export, or the native DSL as YAML, JSON or TOML).

Without an address, and without Temporal's own environment configuration, a server of this machine is
started or joined. The first Ctrl-C detaches: the run goes on where a worker runs. The second stops it.

**Exit codes:** 0 completed (partly or by recovery too) · 1 failed · 2 refused · 3 no server ·
4 stopped · 5 waiting · 130 detached

**Examples**

    xworkflow run app.yml --input name=Ada --input count=3
    xworkflow run chat.yml --query "What is Temporal?"
    xworkflow run app.yml --inputs inputs.json --json
    xworkflow run app.yml --address localhost:7233 --id order-4711
"""

SECOND_CTRL_C_SECS = 2.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What watching a run has found out."""

    status: ExecutionStatus
    result: RunResult | None
    run_id: str | None


def register(app: typer.Typer) -> None:
    @app.command("run", help=EXAMPLES)
    def command(  # noqa: PLR0913  # pyright: ignore[reportUnusedFunction]
        file: Annotated[Path, typer.Argument(help="The workflow.")],
        inputs: Annotated[
            list[str] | None, typer.Option("--input", "-i", metavar="K=V", help="An input.")
        ] = None,
        inputs_file: Annotated[
            Path | None, typer.Option("--inputs", metavar="FILE.json", help="Inputs as JSON.")
        ] = None,
        query: Annotated[str | None, typer.Option(help="sys.query, the text of a chat.")] = None,
        address: Annotated[str | None, typer.Option(help="HOST:PORT of a Temporal server.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="The result as one object.")] = False,
        execution_id: Annotated[
            str | None, typer.Option("--id", help="The run's id; the same id is the same run.")
        ] = None,
        quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
    ) -> int:
        schema = load_workflow(file)
        named = schema if schema.name else schema.model_copy(update={"name": file.stem})
        builder = WorkflowRunner.builder(named).user_inputs(
            gather_inputs(named, inputs or (), inputs_file)
        )
        if query is not None:
            builder.system_vars({"query": query, "files": []})
        builder.check()
        return run_async(
            run(builder, named, address, execution_id, as_json=as_json, quiet=quiet)
        )


async def run(  # noqa: PLR0913 - the command's own options
    builder: WorkflowRunnerBuilder,
    schema: WorkflowSchema,
    address: str | None,
    execution_id: str | None,
    *,
    as_json: bool,
    quiet: bool,
) -> int:
    """Start, watch and print one run; returns the exit code."""
    context = WorkflowContext.default()
    if execution_id is not None:
        context = replace(context, execution_id=execution_id)
    async with server_place(address) as place, _worker_for(place):
        handle = await builder.context(context).client(place.client).run()
        if not quiet:
            print_note(f"run {handle.execution_id} of {schema.name}")
        watched = await _watch_or_detach(handle, place, quiet=quiet)
        if watched is None:
            return ExitCode.DETACHED
        url = place.run_url(handle.execution_id, watched.run_id)
        if as_json:
            print_json(_as_object(handle, watched, url))
        else:
            _print_result(watched, url)
        return code_of(watched.status)


@contextlib.asynccontextmanager
async def _worker_for(place: Place) -> AsyncIterator[None]:
    """A worker of our own with the embedded server; elsewhere one must be there."""
    if place.embedded:
        async with worker_at(place.address):
            yield
        return
    await _require_poller(place)
    yield


async def _require_poller(place: Place) -> None:
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

    queue = task_queue(None)
    answer = await place.client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=place.client.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    if not answer.pollers:
        raise InfrastructureError(
            f"no worker polls '{queue}' at {place.address}: "
            f"start one with `xworkflow worker --address {place.address}`"
        )


async def _watch_or_detach(
    handle: WorkflowHandle, place: Place, *, quiet: bool
) -> Watched | None:
    """Watch to the end. None when the user has detached."""
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupted.set)
    watching = asyncio.create_task(_watch(handle, Progress(quiet=quiet)))
    waiting = asyncio.create_task(interrupted.wait())
    try:
        await asyncio.wait({watching, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not watching.done():
            interrupted.clear()
            if not await _second_interrupt(handle, place, interrupted):
                return None
            await handle.cancel()
        return await watching
    finally:
        watching.cancel()
        waiting.cancel()
        loop.remove_signal_handler(signal.SIGINT)


async def _second_interrupt(
    handle: WorkflowHandle, place: Place, interrupted: asyncio.Event
) -> bool:
    print_note(f"detached: the run goes on. Come back with: xworkflow runs show {handle.execution_id}")
    if place.embedded:
        print_note("Its server and worker end with this command; `xworkflow dev` carries it on.")
    print_note(f"Ctrl-C again within {SECOND_CTRL_C_SECS:.0f} s stops the run.")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(interrupted.wait(), SECOND_CTRL_C_SECS)
        return True
    return False


async def _watch(handle: WorkflowHandle, progress: Progress) -> Watched:
    result: RunResult | None = None
    async for feed, new in handle.read(follow=True):
        for event in new:
            progress.show(event)
        result = feed.result
    return Watched(await handle.wait(), result, handle.first_run_id)


def _as_object(handle: WorkflowHandle, watched: Watched, url: str | None) -> dict[str, Any]:
    """The contract of ``--json``."""
    result = watched.result
    name, outputs, error = _parts(watched.status)
    return {
        "run_id": watched.run_id,
        "workflow_id": handle.execution_id,
        "status": name,
        "outputs": outputs if outputs is not None else (result.outputs if result else {}),
        "error": error,
        "elapsed_seconds": result.elapsed_ms / 1000 if result else None,
        "steps": result.steps if result else None,
        "ui_url": url,
    }


def _parts(status: ExecutionStatus) -> tuple[str, dict[str, Any] | None, str | None]:
    match status:
        case Completed(outputs):
            return "completed", outputs, None
        case FailedWithRecovery(error, outputs):
            return "failed_with_recovery", outputs, error
        case Failed(message):
            return "failed", None, message
        case Stopped(reason):
            return "stopped", None, reason
        case _:
            return "waiting", None, None


def _print_result(watched: Watched, url: str | None) -> None:
    name, outputs, error = _parts(watched.status)
    result = watched.result
    if outputs is not None:
        texts = list(outputs.values())
        if len(texts) == 1 and isinstance(texts[0], str):
            output().print(texts[0], markup=False)
        else:
            output().print_json(data=outputs)
    if error is not None:
        print_error(error)
    took = f" in {result.elapsed_ms / 1000:.2f} s, {result.steps} steps" if result else ""
    print_note(f"{name}{took}")
    if url is not None:
        print_note(f"Web UI: {url}")

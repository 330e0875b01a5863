"""``GraphWorkflow``: one run of one graph, for any Temporal client.

Start it with a ``RunInput``. It completes with a ``RunResult``; a failed graph fails the workflow,
with the result in the failure's details, so that Temporal's own status is the run's status.
"""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from xworkflow.domain.debugging import DebugCommand
from xworkflow.domain.facts import Debugged
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.wire import (
    CHILD_WAITS_SIGNAL,
    DEBUG_QUERY,
    DEBUG_UPDATE,
    GRAPH_WORKFLOW,
    SLOT_SIGNAL,
    ChildWait,
    DebugReport,
    SlotGranted,
)
from xworkflow.engine.carrier import LaneEffect
from xworkflow.workflows.commanded import Commanded
from xworkflow.workflows.messages import check_payload, continue_as_new
from xworkflow.workflows.shell import Shell
from xworkflow.workflows.snapshot import debug_report


@workflow.defn(name=GRAPH_WORKFLOW)
class GraphWorkflow(Commanded):
    """The durable run of a graph. Queries answer from the run's real state."""

    @workflow.init
    def __init__(self, given: RawValue) -> None:
        super().__init__(given)

    @workflow.run
    async def run(self, given: RawValue) -> RunResult:
        """Carry the run to its end. Raises ApplicationError, typed by the kind of failure.

        ``given`` is a RunInput. It is decoded here, as what the SDK cannot decode fails the
        workflow task, which Temporal then repeats for ever.
        """
        del given  # __init__ has it
        shell = self._carried()
        result = await shell.carry()
        if result is None:
            continue_as_new(shell.next_input())
        assert isinstance(result, RunResult)  # noqa: S101 - a chunk is not started under this name
        check_payload("The outputs of the run are", result, result.outputs)
        if result.status == "aborted" and shell.cancelled:
            raise asyncio.CancelledError
        if result.status in ("failed", "aborted") and result.error is not None:
            raise ApplicationError(
                result.error.text,
                result.model_dump(mode="json"),
                type=result.error.error_type,
                non_retryable=True,
            )
        return result

    @workflow.signal(name=CHILD_WAITS_SIGNAL)
    def child_waits(self, told: ChildWait) -> None:
        """A sub-graph of the run waits for a person, or no longer does."""
        self._carried().child_waits(told)

    @workflow.signal(name=SLOT_SIGNAL)
    def slot_granted(self, told: SlotGranted) -> None:
        """The run's group has a place for it now."""
        self._carried().slot_granted(told)

    @workflow.update(name=DEBUG_UPDATE)
    async def debug_command(self, command: DebugCommand) -> DebugReport:
        """Say something to the debugger; answers with where the run stands then."""
        shell = self._carried()
        refusal: str | None = None

        def take() -> list[LaneEffect]:
            nonlocal refusal
            refusal = _refusal(shell, command)
            return shell.carrier.tell(Debugged(command, shell.now()))

        await shell.updated(take)
        if refusal is not None:
            raise ApplicationError(refusal)
        return debug_report(shell)

    @debug_command.validator
    def _refuse_debug_command(self, command: DebugCommand) -> None:
        shell = self._carried()
        refusal = _refusal(shell, command) if shell.is_settled else None
        if refusal is not None:
            raise ApplicationError(refusal)

    @workflow.query(name=DEBUG_QUERY)
    def debug(self) -> DebugReport:
        """Where the debugger stands."""
        return debug_report(self._carried())


def _refusal(shell: Shell, command: DebugCommand) -> str | None:
    """Why a command to the debugger would do nothing."""
    needs_pause = ("step", "step_over", "continue", "abort", "update_variables")
    if command.action in needs_pause and not debug_report(shell).paused:
        return f"'{command.action}' needs a run that stands at a pause"
    if command.action in ("add_breakpoint", "remove_breakpoint"):
        if command.node_id is None:
            return f"'{command.action}' needs a node_id"
        driver = shell.driver
        if driver is not None and command.node_id not in driver.plan.index_of:
            return f"the run has no node '{command.node_id}' of its own"
    return None

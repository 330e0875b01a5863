"""``GraphWorkflow``: one run of one graph, for any Temporal client.

Start it with a ``RunInput``. It completes with a ``RunResult``; a failed graph fails the workflow,
with the result in the failure's details, so that Temporal's own status is the run's status.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from xworkflow.domain.outcome import RunResult
from xworkflow.domain.state import NodePhase
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import (
    GRAPH_WORKFLOW,
    OUTPUTS_QUERY,
    STATE_QUERY,
    VARIABLES_QUERY,
    RunInput,
    RunSnapshot,
)
from xworkflow.engine.compile import CompileError
from xworkflow.errors import EngineError, InputError
from xworkflow.workflows import details
from xworkflow.workflows.shell import Shell


@workflow.defn(name=GRAPH_WORKFLOW)
class GraphWorkflow:
    """The durable run of a graph. Queries answer from the run's real state."""

    @workflow.init
    def __init__(self, given: RawValue) -> None:
        self._shell: Shell | None = None
        self._refusal: EngineError | None = None
        try:
            self._shell = Shell(_run_input(given))
        except (InputError, CompileError) as error:
            self._refusal = error

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
            workflow.continue_as_new(shell.next_input())
        if result.status == "aborted":
            raise asyncio.CancelledError
        if result.status == "failed" and result.error is not None:
            raise ApplicationError(
                result.error.text,
                result.model_dump(mode="json"),
                type=result.error.error_type,
                non_retryable=True,
            )
        return result

    @workflow.query(name=STATE_QUERY)
    def state(self) -> RunSnapshot:
        """Where the run stands: its phase, counters, and each node's state."""
        driver = self._carried().driver
        state, plan = driver.state, driver.plan
        return RunSnapshot(
            phase=state.phase,
            steps=state.steps,
            exceptions=state.exceptions,
            elapsed_ms=state.elapsed_ms,
            nodes={
                node.id: details.NAMES[NodePhase(state.nodes[node.index])] for node in plan.nodes
            },
            error=None if state.failure is None else state.failure.text,
        )

    @workflow.query(name=OUTPUTS_QUERY)
    def outputs(self) -> dict[str, JsonValue]:
        """The outputs collected so far."""
        return self._carried().driver.state.outputs

    @workflow.query(name=VARIABLES_QUERY)
    def variables(self, node_id: str | None = None) -> dict[str, Any]:
        """The variables of one node or namespace; without a name, of all."""
        pool = self._carried().driver.state.pool
        return dict(pool.namespace(node_id)) if node_id is not None else pool.to_json()

    def _carried(self) -> Shell:
        if self._shell is None:
            refusal = self._refusal or InputError(("the run has no input",))
            raise ApplicationError(str(refusal), type=refusal.code, non_retryable=True)
        return self._shell


def _run_input(given: RawValue) -> RunInput:
    """Raises InputError for what some other client sent instead."""
    try:
        # a payload that is null or plain bytes comes back as it is
        run = cast("object", workflow.payload_converter().from_payload(given.payload, RunInput))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError((f"the input is no RunInput: {where}: {first['msg']}",)) from None
    if not isinstance(run, RunInput):
        raise InputError(("the input is no RunInput",))
    return run

"""The deterministic ``WorkflowContext`` of a run: time and ids from Temporal's replay-safe APIs."""

from __future__ import annotations

from temporalio import workflow

from xworkflow.context import WorkflowContext
from xworkflow.domain.ids import IdSequence
from xworkflow.domain.wire import RunInput


class TemporalTimeProvider:
    """The workflow's own clock: the time of the event that it works on, the same in each replay."""

    def now_timestamp(self) -> int:
        return self.now_millis() // 1000

    def now_millis(self) -> int:
        return workflow.time_ns() // 1_000_000  # whole, as a reader of the history counts

    def elapsed_secs(self, since: int) -> int:
        return max(0, self.now_timestamp() - since)


class TemporalIdGenerator:
    """Ids derived from the run's own, so that replays and readers of the history make the same."""

    def __init__(self, ids: IdSequence) -> None:
        self._ids = ids

    def next_id(self) -> str:
        taken, self._ids = self._ids.take()
        return taken


def context_of(run: RunInput) -> WorkflowContext:
    """The context of the workflow run that this is called in."""
    info = workflow.info()
    execution_id = run.id_base or info.workflow_id
    context = WorkflowContext.in_workflow(
        execution_id,
        int(info.start_time.timestamp()),
        TemporalTimeProvider(),
        TemporalIdGenerator(IdSequence(execution_id, run.options.fake_id_prefix)),
    )
    context.workflow_id = info.workflow_id
    return context

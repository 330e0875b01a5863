"""How many runs went on at once, told by their histories and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

_CLOSED = (
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
)


async def most_at_once(client: Client, runs: Sequence[str]) -> int:
    """From the first node that a run schedules to its end, by the server's clock."""
    moments: list[tuple[int, int]] = []
    for run in runs:
        events = (await client.get_workflow_handle(run).fetch_history()).events
        began = next((e for e in events if _is_start(e)), None)
        if began is None:
            continue
        moments.append((began.event_time.ToNanoseconds(), 1))
        if events[-1].event_type in _CLOSED:
            moments.append((events[-1].event_time.ToNanoseconds(), -1))
    at_once = most = 0
    for _, change in sorted(moments):  # ends before starts where both share a moment
        at_once += change
        most = max(most, at_once)
    return most


def _is_start(event: HistoryEvent) -> bool:
    return event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED

"""What holds an open run up, as the server tells it: no worker, a worker that has gone, attempts
that failed.

Costs a call of the server for the run and each of its open sub-graphs (the first ``MOST``), and
needs no worker. Nothing is said of what goes on as it should, however long it takes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import (
    PendingActivityState,
    PendingWorkflowTaskState,
    WorkflowExecutionStatus,
)
from temporalio.api.workflow.v1 import PendingActivityInfo, PendingWorkflowTaskInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import Client

from xworkflow.domain.wire import node_of_activity

_RUNNING: Final = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING

MOST: Final = 8
"""So many workflows of a run are asked about."""

SILENT_SECS: Final = 5.0
"""Activities send a heartbeat each second; one that did not for so long has lost its worker, or its
worker is stuck."""

UNTAKEN_SECS: Final = 5.0
"""So long a task may lie before it is said that nobody takes it."""

_MESSAGE: Final = 200
"""So many letters of a failure's message are quoted."""


@dataclass(frozen=True, slots=True)
class HoldUp:
    """One thing that holds a run up; of one node, or of the run itself."""

    text: str
    node_id: str | None = None

    def __str__(self) -> str:
        return self.told({})

    def told(self, titles: Mapping[str, str]) -> str:
        """A line for people; ``titles`` are those of nodes by id."""
        if self.node_id is None:
            return self.text
        return f"{titles.get(self.node_id) or self.node_id}: {self.text}"


async def hold_ups(client: Client, execution_id: str) -> tuple[HoldUp, ...]:
    """Each thing that holds an open run up; none where it goes on as it should.

    Raises RPCError, NOT_FOUND for a run that the server does not know (any more).
    """
    found: list[HoldUp] = []
    names = [execution_id]
    for name in names:  # grows while it is gone through
        described = (await client.get_workflow_handle(name).describe()).raw_description
        if described.workflow_execution_info.status != _RUNNING:
            continue  # what a closed run had in hand still stands there
        found += _of(described, time.time())
        names += [child.workflow_id for child in described.pending_children]
        del names[MOST:]
    return tuple(dict.fromkeys(found))


def _of(described: DescribeWorkflowExecutionResponse, now: float) -> Iterator[HoldUp]:
    queue = described.execution_config.task_queue.name
    if described.HasField("pending_workflow_task"):
        yield from _of_task(described.pending_workflow_task, queue, now)
    for activity in described.pending_activities:
        yield from _of_activity(activity, queue, now)


def _of_task(task: PendingWorkflowTaskInfo, queue: str, now: float) -> Iterator[HoldUp]:
    if task.attempt > 1:
        yield HoldUp(
            f"the run's own task is tried again (attempt {task.attempt}): "
            "the worker's log and the Web UI tell why it failed"
        )
    untaken = task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
    if untaken and _age(task.scheduled_time, now) >= UNTAKEN_SECS:
        yield HoldUp(f"no worker takes the run; it waits in '{queue}' until one does")


def _of_activity(activity: PendingActivityInfo, queue: str, now: float) -> Iterator[HoldUp]:
    node = node_of_activity(activity.activity_id)
    if activity.paused:
        yield HoldUp("somebody has paused its activity at the Temporal server", node)
        return
    again = ""
    if activity.attempt > 1:
        before = " ".join(activity.last_failure.message.split())[:_MESSAGE]
        again = f" (attempt {activity.attempt}; the one before: {before})"
    started = activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
    if not started:
        if again or _age(activity.scheduled_time, now) >= UNTAKEN_SECS:
            yield HoldUp(f"no worker takes it from '{queue}' yet{again}", node)
        return
    heard = (activity.last_heartbeat_time, activity.last_started_time)
    if min(_age(at, now) for at in heard) >= SILENT_SECS:
        limit = activity.activity_options.heartbeat_timeout.ToTimedelta().total_seconds()
        then = f"; after {limit:g} s of that another attempt begins" if limit else ""
        worker = activity.last_worker_identity
        yield HoldUp(f"nothing is heard of its worker {worker}{then}{again}", node)
    elif again:
        yield HoldUp(f"is under way again{again}", node)


def _age(at: Timestamp, now: float) -> float:
    return now - at.ToNanoseconds() / 1e9

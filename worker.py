"""The worker's composition root: settings → group → activities → Temporal worker.

``python worker.py`` and ``xworkflow worker`` end here. The only place that knows all rooms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from xworkflow.activities.execute_node import NodeActivities
from xworkflow.domain.wire import task_queue
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.workflows import GraphWorkflow, SubGraphWorkflow

PASSED_THROUGH = (
    # pure, frozen after import, and the plan cache that all runs share
    "xworkflow.domain",
    "xworkflow.engine",
    "xworkflow.nodes",
    "xworkflow.errors",
    "xworkflow.ports",
    "xworkflow.providers",
    "xworkflow.context",
    # loaded by runs that are traced; opentelemetry reads files when it is used for the first time
    "xworkflow.telemetry",
    "opentelemetry",
    # pure libraries that are slow to load again for each run
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "typing_extensions",
    "minijinja",
    "yaml",
)


def workflow_runner(*, sandboxed: bool) -> WorkflowRunner:
    """Temporal's workflow sandbox costs half of a run; tests and CI run with it, workers
    without."""
    if not sandboxed:
        return UnsandboxedWorkflowRunner()
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    return SandboxedWorkflowRunner(restrictions=restrictions)


def build_worker(  # noqa: PLR0913 - what a worker is made of, with defaults
    client: Client,
    group: RuntimeGroup,
    *,
    queue: str | None = None,
    sandboxed: bool = False,
    max_cached_workflows: int = 1000,
    node_loop: asyncio.AbstractEventLoop | None = None,
) -> Worker:
    """A worker of one group. The caller runs it, and owns and closes the group.

    ``node_loop`` is the event loop to execute nodes in, when it is not the one that the worker runs
    in.
    """
    return Worker(
        client,
        task_queue=queue or task_queue(group.group_id),
        workflows=[GraphWorkflow, SubGraphWorkflow],
        activities=NodeActivities(group, node_loop).all(),
        workflow_runner=workflow_runner(sandboxed=sandboxed),
        max_cached_workflows=max_cached_workflows,
        # a cancel travels with the answer to a heartbeat; the default throttle makes it wait 12 s
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        # the next task of a run whose worker died waits this long before another may have it
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=3),
        graceful_shutdown_timeout=timedelta(seconds=5),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the ``worker`` command."""
    from xworkflow.cli import main as cli

    cli(["worker", *(arguments or ())])


if __name__ == "__main__":
    import sys

    import xworkflow.worker

    xworkflow.worker.main(sys.argv[1:])

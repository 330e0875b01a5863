"""The worker's composition root: settings → group → activities → Temporal worker.

``python worker.py`` and ``xworkflow worker`` end here. The only place that knows all rooms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from temporalio.client import Client
from temporalio.plugin import SimplePlugin
from temporalio.worker import (
    Interceptor,
    Plugin,
    PollerBehavior,
    PollerBehaviorAutoscaling,
    PollerBehaviorSimpleMaximum,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from xworkflow.activities.execute_node import NodeActivities
from xworkflow.activities.governor_broker import GovernorBroker
from xworkflow.activities.governor_worker import ledger_worker
from xworkflow.activities.run_ends import RunEndsWatch
from xworkflow.domain.wire import task_queue
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.workflows import GovernorWorkflow, GraphWorkflow, SubGraphWorkflow

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
    slots = group.worker_slots
    queue = queue or task_queue(group.group_id)
    runner = workflow_runner(sandboxed=sandboxed)
    group, interceptors, plugins = _governed(client, group, queue, runner, node_loop)
    return Worker(
        client,
        task_queue=queue,
        workflows=[GraphWorkflow, SubGraphWorkflow],
        activities=NodeActivities(group, node_loop).all(),
        workflow_runner=runner,
        interceptors=interceptors,
        plugins=plugins,
        max_cached_workflows=max_cached_workflows,
        max_concurrent_workflow_tasks=max(2, slots.workflow_tasks),  # the SDK's least, with a cache
        max_concurrent_activities=slots.activities,
        max_concurrent_local_activities=slots.local_activities,
        # one of the workflow pollers is for the process's own sticky queue
        workflow_task_poller_behavior=_polling(slots.pollers, least=2),
        activity_task_poller_behavior=_polling(slots.pollers, least=1),
        # a cancel travels with the answer to a heartbeat; the default throttle makes it wait 12 s
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        # the next task of a run whose worker died waits this long before another may have it
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=3),
        graceful_shutdown_timeout=timedelta(seconds=5),
    )


def _polling(most: int, *, least: int) -> PollerBehavior:
    """An idle group keeps one poll of each kind open; scaling costs it 50 µs of CPU a second for
    each kind, which is why ``pollers=1`` does without."""
    if most == 1:
        return PollerBehaviorSimpleMaximum(maximum=least)
    return PollerBehaviorAutoscaling(maximum=most, initial=1)


def _governed(
    client: Client,
    group: RuntimeGroup,
    queue: str,
    runner: WorkflowRunner,
    node_loop: asyncio.AbstractEventLoop | None,
) -> tuple[RuntimeGroup, list[Interceptor], list[Plugin]]:
    """The group with its governor, and what tells that of the runs. Nothing for most groups."""
    plugins: list[Plugin] = []
    if group.group_id is None:
        return group, [], plugins
    group_id = group.group_id
    if group.resource_governor is None and group.usage_quota is not None:
        broker = GovernorBroker(client, group_id, group.usage_quota, queue)
        group = group.replaced(resource_governor=broker)
        plugins.append(
            SimplePlugin(
                "xworkflow.governor",
                run_context=lambda: ledger_worker(
                    client, broker, GovernorWorkflow, runner, node_loop
                ),
            )
        )
    if group.resource_governor is None:
        return group, [], plugins
    loop = node_loop or asyncio.get_running_loop()
    watch = RunEndsWatch(client, group.resource_governor, group_id, loop)
    return group, [watch], plugins


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the ``worker`` command."""
    from xworkflow.cli import main as cli

    cli(["worker", *(arguments or ())])


if __name__ == "__main__":
    import sys

    import xworkflow.worker

    xworkflow.worker.main(sys.argv[1:])

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
    PollerBehaviorSimpleMaximum,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from xworkflow.activities.execute_node import NodeActivities
from xworkflow.activities.governance import Governance, Governed
from xworkflow.activities.governor_broker import GovernorBroker
from xworkflow.activities.governor_worker import ledger_worker
from xworkflow.activities.run_audit import RunAudit
from xworkflow.activities.run_ends import RunEndsWatch
from xworkflow.domain.governing import UsageQuota
from xworkflow.domain.wire import task_queue
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.workflows import (
    GovernorWorkflow,
    GraphWorkflow,
    SubGraphWorkflow,
    YieldsWorkflow,
)

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


class GroupWorker:
    """A Temporal worker of one group, which may be replaced while it works.

    The caller runs ``worker``, and owns and closes the groups. Belongs to the event loop in which
    it is made.
    """

    def __init__(  # noqa: PLR0913 - what a worker is made of, with defaults
        self,
        client: Client,
        group: RuntimeGroup,
        *,
        queue: str | None = None,
        sandboxed: bool = False,
        max_cached_workflows: int = 1000,
        node_loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        slots = group.worker_slots
        queue = queue or task_queue(group.group_id)
        runner = workflow_runner(sandboxed=sandboxed)
        self._governance = _governance(client, group, queue, runner, node_loop)
        self._activities = NodeActivities(self._governance.over(group), node_loop)
        loop = node_loop or asyncio.get_running_loop()
        interceptors: list[Interceptor] = [RunAudit(lambda: self.group, loop)]
        plugins: list[Plugin] = []
        if self._governance.governor is not None and group.group_id is not None:
            interceptors.append(
                RunEndsWatch(client, lambda: self._governance.governor, group.group_id, loop)
            )
            plugins.append(SimplePlugin("xworkflow.governor", run_context=self._governance.running))
        self.worker = Worker(
            client,
            task_queue=queue,
            workflows=[GraphWorkflow, SubGraphWorkflow],
            activities=self._activities.all(),
            workflow_runner=runner,
            interceptors=interceptors,
            plugins=plugins,
            max_cached_workflows=max_cached_workflows,
            # the SDK's least, with a cache
            max_concurrent_workflow_tasks=max(2, slots.workflow_tasks),
            max_concurrent_activities=slots.activities,
            max_concurrent_local_activities=slots.local_activities,
            # one of the workflow pollers is for the process's own sticky queue
            workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(
                maximum=max(2, slots.pollers)
            ),
            activity_task_poller_behavior=PollerBehaviorSimpleMaximum(maximum=slots.pollers),
            # a cancel travels with the answer to a heartbeat; the default throttle makes it wait
            # 12 s
            max_heartbeat_throttle_interval=timedelta(seconds=1),
            # the next task of a run whose worker died waits this long before another may have it
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=3),
            graceful_shutdown_timeout=timedelta(seconds=5),
        )

    @property
    def group(self) -> RuntimeGroup:
        """The group of what begins now."""
        return self._activities.lending.group

    def can_become(self, group: RuntimeGroup) -> bool:
        """Whether the worker can go on with another group. It cannot with other slots, with
        another place of the ledger, nor where only one of the two has a quota."""

        def fixed(of: RuntimeGroup) -> tuple[object, ...]:
            return of.usage_quota is None, of.governor_url, of.worker_slots

        return fixed(self.group) == fixed(group)

    async def replace(self, group: RuntimeGroup) -> None:
        """Use another group for all that begins from now on. Returns when nothing uses the one
        before. Runs keep the limits with which they were admitted."""
        async with self._governance.handing_over(group) as governed:
            await self._activities.lending.replace(governed)


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
    return GroupWorker(
        client,
        group,
        queue=queue,
        sandboxed=sandboxed,
        max_cached_workflows=max_cached_workflows,
        node_loop=node_loop,
    ).worker


def _governance(
    client: Client,
    group: RuntimeGroup,
    queue: str,
    runner: WorkflowRunner,
    node_loop: asyncio.AbstractEventLoop | None,
) -> Governance:
    group_id, url = group.group_id or "", group.governor_url

    def in_a_workflow(quota: UsageQuota) -> Governed:
        broker = GovernorBroker(client, group_id, quota, queue)
        return Governed(broker, ledger_worker(client, broker, GovernorWorkflow, runner, node_loop))

    def in_redis(quota: UsageQuota) -> Governed:
        from xworkflow.activities.governor_redis import RedisGovernor
        from xworkflow.activities.redis_worker import governed_by_redis

        governor = RedisGovernor(url or "", client, group_id, quota, queue)
        beside = governed_by_redis(client, governor, YieldsWorkflow, runner, node_loop)
        return Governed(governor, beside)

    return Governance(in_a_workflow if url is None else in_redis)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the ``worker`` command."""
    from xworkflow.cli import main as cli

    cli(["worker", *(arguments or ())])


if __name__ == "__main__":
    import sys

    import xworkflow.worker

    xworkflow.worker.main(sys.argv[1:])

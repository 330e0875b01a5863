"""A worker on the session's dev server, and what a test asks of the runs that it carries."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.context import WorkflowContext
from xworkflow.domain.debugging import DebugConfig
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.wire import MockNode
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.worker import build_worker


@dataclass(frozen=True)
class Bench:
    """Starts runs on one task queue."""

    client: Client
    queue: str
    group: RuntimeGroup = field(default_factory=RuntimeGroup.default)

    async def start(  # noqa: PLR0913 - what a run may be started with
        self,
        schema: WorkflowSchema,
        inputs: dict[str, Any] | None = None,
        *,
        mocks: dict[str, MockNode] | None = None,
        config: EngineConfig | None = None,
        execution_id: str | None = None,
        debug: DebugConfig | None = None,
        **options: Any,
    ) -> WorkflowHandle:
        """Start a run; ``options`` are those of RunOptions."""
        context = WorkflowContext.new(self.group)
        if execution_id is not None:
            context.execution_id = execution_id
        builder = WorkflowRunner.builder(schema).context(context).user_inputs(inputs or {})
        builder.mock_nodes(mocks or {}).options(**options)
        if config is not None:
            builder.config(config)
        if debug is not None:
            builder.debug(debug)
        return await builder.client(self.client, task_queue=self.queue).run()

    @asynccontextmanager
    async def worker(self, **options: Any) -> AsyncGenerator[None]:
        """A worker of the bench's group, for the length of a block."""
        async with build_worker(self.client, self.group, queue=self.queue, **options):
            yield


async def history(handle: WorkflowHandle, client: Client) -> list[HistoryEvent]:
    """The newest history of a run."""
    fetched = await client.get_workflow_handle(handle.execution_id).fetch_history()
    return list(fetched.events)


def kind(event: HistoryEvent) -> str:
    """An event's type without its prefix, in lower case."""
    return EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()


def kinds(events: list[HistoryEvent]) -> Counter[str]:
    return Counter(kind(event) for event in events)


def timers(events: list[HistoryEvent]) -> list[timedelta]:
    """How long each timer that has fired lasted, by the server's own clock."""
    began = {e.event_id: e.event_time.ToDatetime() for e in events}
    fired = {
        e.timer_fired_event_attributes.started_event_id: e.event_time.ToDatetime()
        for e in events
        if kind(e) == "timer_fired"
    }
    return [fired[number] - began[number] for number in sorted(fired)]


async def read(handle: WorkflowHandle, *, follow: bool = False) -> list[GraphEngineEvent]:
    """The run's events, as a reader of the history sees them."""
    return [event async for event in handle.events(follow=follow)]

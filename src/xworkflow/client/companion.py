"""What goes along with a run in the process that started it, until it is over.

A run needs nobody: it goes on without the process that started it. But an event queue wants to be
fed, and live objects of its context (a sub-graph runner, providers that are no fakes) are lent to
executors only while somebody keeps them.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext

from xworkflow.client.handle import WorkflowHandle
from xworkflow.context import WorkflowContext, kept_live
from xworkflow.errors import EngineError

_log = logging.getLogger("xworkflow.client")
_companions: set[asyncio.Task[None]] = set()


def accompany(handle: WorkflowHandle, context: WorkflowContext) -> None:
    """Go along with a run, where its context asks for it; ends with the run, or with the loop."""
    if context.event_tx is None and not context.has_live_parts:
        return
    task = asyncio.create_task(_go_along(handle, context))
    _companions.add(task)  # a loop holds its tasks weakly
    task.add_done_callback(_companions.discard)


async def _go_along(handle: WorkflowHandle, context: WorkflowContext) -> None:
    with kept_live(context) if context.has_live_parts else nullcontext():
        try:
            async for event in handle.events():
                if context.event_tx is not None:
                    await context.event_tx.put(event)
            await handle.wait()  # of a run without events, too
        except EngineError as error:
            _log.warning("run %s is no longer watched: %s", handle.execution_id, error)

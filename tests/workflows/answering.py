"""Whoever answers the questions of a random nested graph."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from temporalio.client import WorkflowUpdateRPCTimeoutOrCancelledError

from tests.properties.nested_graphs import Nest, asks_of
from xworkflow.client.handle import WorkflowHandle
from xworkflow.errors import EngineError


@asynccontextmanager
async def answering(handle: WorkflowHandle, nest: Nest) -> AsyncGenerator[None]:
    """Answer whatever is asked, for the length of a block.

    Workers may die meanwhile: then nobody hears it, or it was heard already.
    """
    asks = asks_of(nest)
    if not asks:
        yield
        return
    answers = asyncio.create_task(_answer(handle, nest))
    try:
        yield
    finally:
        answers.cancel()
        with suppress(asyncio.CancelledError, WorkflowUpdateRPCTimeoutOrCancelledError):
            await answers


async def _answer(handle: WorkflowHandle, nest: Nest) -> None:
    asks = asks_of(nest)
    while True:
        with suppress(EngineError):
            for waiting in await handle.waiting():
                with suppress(EngineError):
                    await handle.answer(waiting, form_data=asks[waiting.node_id].answer)
        await asyncio.sleep(0.05)

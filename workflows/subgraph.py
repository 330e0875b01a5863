"""``SubGraphWorkflow``: one chunk of a container's items, as the child of the run around it."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.common import RawValue

from xworkflow.domain.repeats import ChunkEnd
from xworkflow.domain.wire import SUBGRAPH_WORKFLOW
from xworkflow.workflows.commanded import Commanded
from xworkflow.workflows.messages import check_payload, continue_as_new


@workflow.defn(name=SUBGRAPH_WORKFLOW)
class SubGraphWorkflow(Commanded):
    """Repeats a body for the items that it was given. Started by the engine alone, with a
    ``RunInput`` whose ``chunk`` is set; takes the same commands and queries as the run."""

    @workflow.init
    def __init__(self, given: RawValue) -> None:
        super().__init__(given)

    @workflow.run
    async def run(self, given: RawValue) -> ChunkEnd:
        """Completes also when a body failed: what that means is the container's affair."""
        del given  # __init__ has it
        shell = self._carried()
        end = await shell.carry()
        if end is None:
            continue_as_new(shell.next_input())
        if shell.cancelled:
            raise asyncio.CancelledError
        assert isinstance(end, ChunkEnd)  # noqa: S101 - a run is not started under this name
        parts = ([o.value for o in end.outcomes], end.carry, [w.value for w in end.writes])
        check_payload("The results of the sub-graph are", end, *parts)
        return end

"""``WorkflowDispatcher``: starts runs of one schema in one group, as the seed names it."""

from __future__ import annotations

from collections.abc import Mapping

from xworkflow.client.builder import WorkflowRunnerBuilder
from xworkflow.client.handle import WorkflowHandle
from xworkflow.context import WorkflowContext
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.values import JsonValue


class WorkflowDispatcher:
    """Starts runs of ``schema``: the first in the given context, each further one in a fresh
    context with the same group and providers."""

    def __init__(self, schema: WorkflowSchema, context: WorkflowContext) -> None:
        self._schema = schema
        self._context = context
        self._is_used = False

    async def dispatch(self, user_inputs: Mapping[str, JsonValue]) -> WorkflowHandle:
        """Start one run. Raises as ``WorkflowRunnerBuilder.run``."""
        return await self.builder().user_inputs(user_inputs).run()

    def builder(self) -> WorkflowRunnerBuilder:
        """A builder of the next run, for what ``dispatch`` does not set."""
        context = self._context.fresh() if self._is_used else self._context
        self._is_used = True
        return WorkflowRunnerBuilder(self._schema).context(context)

"""``WorkflowDispatcher``: starts runs of one schema in one group, as the seed names it."""

from __future__ import annotations

from collections.abc import Mapping

from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.context import WorkflowContext
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.values import JsonValue


class WorkflowDispatcher:
    """Starts runs of ``schema``; the first in the given context, each further one in a context of
    its own on the same group."""

    def __init__(self, schema: WorkflowSchema, context: WorkflowContext) -> None:
        self._schema = schema
        self._context = context
        self._fresh = True

    async def dispatch(self, user_inputs: Mapping[str, JsonValue]) -> WorkflowHandle:
        """Start one run. Raises as ``WorkflowRunnerBuilder.run``."""
        context = self._context if self._fresh else WorkflowContext.new(self._context.runtime_group)
        self._fresh = False
        builder = WorkflowRunner.builder(self._schema).context(context)
        return await builder.user_inputs(user_inputs).run()

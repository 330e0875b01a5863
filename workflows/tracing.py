"""The spans that a workflow makes: its own, and those of its inline nodes.

The SDK's plugin makes them safe in replays: their ids come from a random generator that is the
run's own, and a span is not sent again. They are no commands, so histories do not know of them.
"""

from __future__ import annotations

from contextvars import Token
from typing import TYPE_CHECKING

from temporalio import workflow

from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.plan import Placement, Plan
from xworkflow.domain.wire import RunInput

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

_ENDS = frozenset({"node_run_succeeded", "node_run_failed", "node_run_exception"})


class RunTrace:
    """The span of one history of one run. Does nothing when the client did not trace the start."""

    def __init__(self, run: RunInput, execution_id: str) -> None:
        self._run = run
        self._execution_id = execution_id
        self._span: Span | None = None
        self._token: Token[Context] | None = None

    def begin(self) -> None:
        """Make the run's span the parent of all that the calling task does from now on."""
        if not self._run.options.traced:
            return
        with workflow.unsafe.imports_passed_through():
            from opentelemetry import context, trace

            from xworkflow.telemetry import spans
        if not spans.has_parent():
            return
        app = self._run.app_name
        attributes = spans.run_attributes(self._execution_id, app)
        kind = trace.SpanKind.SERVER
        self._span = spans.tracer().start_span(f"run {app}", attributes=attributes, kind=kind)
        self._token = context.attach(trace.set_span_in_context(self._span))

    def end(self, result: RunResult | None) -> None:
        """End the run's span; None is a run that goes on in another history.

        Not called when a run is evicted or its task fails: then a later replay ends the same span.
        """
        if self._span is None or self._token is None:
            return
        with workflow.unsafe.imports_passed_through():
            from opentelemetry import context

            from xworkflow.telemetry import spans
        status = "continued" if result is None else result.status
        self._span.set_attribute("xworkflow.run.status", status)
        if result is not None and result.error is not None:
            spans.fail(self._span, result.error.error_type, result.error.text)
        context.detach(self._token)
        self._span.end()

    def tell(self, plan: Plan, event: GraphEngineEvent) -> None:
        """Make the span of an inline node, which has no activity that could."""
        if self._span is None or event.type not in _ENDS:
            return
        node = plan.node(event.data["node_id"])
        if node.placement is not Placement.INLINE:
            return
        with workflow.unsafe.imports_passed_through():
            from xworkflow.telemetry import spans
        attributes = spans.node_attributes(
            self._execution_id, self._run.app_name, id_=node.id, type_=node.type, title=node.title
        )
        name = spans.node_name(node.type, node.title)
        span = spans.tracer().start_span(name, attributes=attributes)
        if "error" in event.data:
            spans.fail(span, event.data["error_type"], event.data["error"])
        span.end()

"""``CompiledWorkflow``: a workflow read and checked once, run as often as one likes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from xworkflow.client.builder import WorkflowRunnerBuilder
from xworkflow.domain.diagnostics import Report
from xworkflow.domain.loading import Format, load
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.engine.validation import validated
from xworkflow.errors import ValidationFailed

_DECIDED_LATER: Final = frozenset({"E009", "E050"})
"""Types that are not built in: a group may have an executor for them, and a test may mock them."""


@dataclass(frozen=True, slots=True)
class CompiledWorkflow:
    """A valid workflow. Immutable, and shared by all runs that it starts.

    Workers compile its plan once per process, by the schema's hash (``engine.cache``), so its runs
    parse nothing again. ``report`` holds the warnings.
    """

    schema: WorkflowSchema
    report: Report

    def runner(self) -> WorkflowRunnerBuilder:
        """A builder of one run, with the setters of ``WorkflowRunner.builder``."""
        return WorkflowRunnerBuilder(self.schema)


def compile_text(text: str | bytes, format: Format | None = None) -> CompiledWorkflow:  # noqa: A002
    """Read and check a workflow. Raises DslParseError or ValidationFailed."""
    return compile_schema(load(text, format))


def compile_schema(schema: WorkflowSchema) -> CompiledWorkflow:
    """Check a workflow that was read. Raises ValidationFailed.

    A node type that is not built in is refused when a run of it starts in a group without it.
    """
    report = validated(schema)
    if any(found.code not in _DECIDED_LATER for found in report.errors):
        raise ValidationFailed(report)
    return CompiledWorkflow(schema, report)

"""``WorkflowRunner``: where a run begins, as the seed names it."""

from __future__ import annotations

from xworkflow.client.builder import WorkflowRunnerBuilder
from xworkflow.client.compiled import CompiledWorkflow, compile_schema, compile_text
from xworkflow.domain.loading import Format
from xworkflow.domain.schema import WorkflowSchema


class WorkflowRunner:
    """``WorkflowRunner.builder(schema)…run()``, or ``.compile(text).runner()…run()``."""

    @staticmethod
    def builder(schema: WorkflowSchema) -> WorkflowRunnerBuilder:
        return WorkflowRunnerBuilder(schema)

    @staticmethod
    def compile(content: str | bytes, format: Format | None = None) -> CompiledWorkflow:  # noqa: A002
        """Read and check a workflow once. Raises DslParseError or ValidationFailed."""
        return compile_text(content, format)

    @staticmethod
    def compile_schema(schema: WorkflowSchema) -> CompiledWorkflow:
        """Check a workflow that was read. Raises ValidationFailed."""
        return compile_schema(schema)

"""The two ways in: ``read`` keeps going and reports, ``load`` is strict."""

from __future__ import annotations

from dataclasses import dataclass

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.loading.dify import read_dify
from xworkflow.domain.loading.findings import Findings
from xworkflow.domain.loading.native import read_native
from xworkflow.domain.loading.shapes import Object, ShapeError, as_object
from xworkflow.domain.loading.text import Format, parse
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.selectors import Dialect
from xworkflow.errors import DslParseError


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a text holds. ``schema`` is what can be loaded of it, and None when there is no graph.

    With an error among the diagnostics the schema is incomplete: good for an editor, not for a run.
    """

    schema: WorkflowSchema | None
    diagnostics: tuple[Diagnostic, ...] = ()


def read(text: str | bytes, format: Format | None = None, *, name: str = "") -> Loaded:  # noqa: A002
    """Read a workflow in either dialect; never raises for what the text holds.

    Nothing is guessed from the text but the dialect: no format means YAML. ``name`` is the
    workflow's name where the file has none of its own.
    """
    try:
        document = parse(text, format)
    except DslParseError as error:
        return Loaded(None, (finding("E001", error.detail, line=error.line),))
    findings = Findings(document.lines)
    schema: WorkflowSchema | None = None
    try:
        root = as_object(document.root, "the file")
        read_dialect = read_dify if dialect_of(root) == "dify" else read_native
        schema = read_dialect(root, findings, name)
    except ShapeError as error:
        findings.add("E001", str(error), field=error.field, at=document.root)
    return Loaded(schema, findings.found)


def load(text: str | bytes, format: Format | None = None, *, name: str = "") -> WorkflowSchema:  # noqa: A002
    """Read a workflow without any error; warnings pass.

    Raises DslParseError for the first error that ``read`` would report.
    """
    loaded = read(text, format, name=name)
    for diagnostic in loaded.diagnostics:
        if diagnostic.level == "error":
            raise DslParseError(diagnostic.message, line=diagnostic.line)
    assert loaded.schema is not None  # noqa: S101 - there is an error where there is no schema
    return loaded.schema


def dialect_of(root: Object) -> Dialect:
    """Which dialect a file is written in.

    With nodes or edges at the top it is native when it has a ``version``, whatever else is there
    (the native dialect ignores ``app`` and ``kind``), and a bare Dify graph when it has none.
    Without them, one of Dify's own keys makes it a Dify export.
    """
    if "workflow" in root:
        return "dify"
    if "nodes" in root or "edges" in root:
        bare = "version" not in root and "nodes" in root and "edges" in root
        return "dify" if bare else "native"
    return "dify" if root.keys() & {"kind", "app", "model_config", "rag_pipeline"} else "native"

"""The procedure: limits, structure, topology, semantics; every finding is collected (2.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from xworkflow.domain.diagnostics import Diagnostic, Report
from xworkflow.domain.quota import DslLimits
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.engine.validation.limits import check_limits
from xworkflow.engine.validation.secrets import check_secrets
from xworkflow.engine.validation.selector_rules import check_selectors
from xworkflow.engine.validation.semantics import check_semantics
from xworkflow.engine.validation.structure import check_structure
from xworkflow.engine.validation.subject import Subject
from xworkflow.engine.validation.topology import check_topology
from xworkflow.nodes.registry import NodeRegistry

_NO_GRAPH = frozenset({"E003", "E004", "E005"})
"""Findings after which there is no graph to walk."""


def validate(
    schema: WorkflowSchema,
    types: NodeRegistry | None = None,
    *,
    mocked: frozenset[str] = frozenset(),
    foreign: frozenset[str] = frozenset(),
    limits: DslLimits | None = None,
) -> Report:
    """All diagnostics of a workflow.

    Nodes whose ids are in ``mocked`` are accepted whatever their type and data, and so are nodes of
    the types in ``foreign`` (registered executors). Bodies are not looked into. ``types`` are the
    built-in ones by default; without ``limits`` there are no limits of size.
    """
    subject = Subject(schema, types or NodeRegistry.builtin(), mocked, foreign)
    return Report(diagnostics=tuple(_lined(_findings(subject, limits), subject)))


def _findings(subject: Subject, limits: DslLimits | None) -> Iterator[Diagnostic]:
    if limits is not None:
        yield from check_limits(subject, limits)
        if limits.selector_validation is not None:
            yield from check_selectors(subject, limits.selector_validation)
    yield from check_secrets(subject)
    structure = list(check_structure(subject))
    yield from structure
    if _NO_GRAPH.isdisjoint(found.code for found in structure) and subject.root is not None:
        cycles = limits is None or limits.enable_cycle_detection
        yield from check_topology(subject, cycles=cycles)
    yield from check_semantics(subject)


def _lined(findings: Iterable[Diagnostic], subject: Subject) -> Iterator[Diagnostic]:
    """The findings with their line in the file; what is wrong twice is said once."""
    seen: set[Diagnostic] = set()
    for found in findings:
        if found not in seen:
            seen.add(found)
            line = found.line if found.line is not None else subject.line(found)
            yield found.model_copy(update={"line": line})


@dataclass(frozen=True, slots=True)
class _Question:
    """What a report depends on; the schema counts by its hash."""

    schema_hash: str
    mocked: frozenset[str]
    foreign: frozenset[str]
    limits: DslLimits | None
    schema: WorkflowSchema = field(compare=False, repr=False)


@lru_cache(maxsize=256)
def _answer(question: _Question) -> Report:
    return validate(
        question.schema,
        mocked=question.mocked,
        foreign=question.foreign,
        limits=question.limits,
    )


def validated(
    schema: WorkflowSchema,
    *,
    mocked: frozenset[str] = frozenset(),
    foreign: frozenset[str] = frozenset(),
    limits: DslLimits | None = None,
) -> Report:
    """As ``validate`` with the built-in types; a workflow that is started again is not walked
    again."""
    return _answer(_Question(schema.hash, mocked, foreign, limits, schema))

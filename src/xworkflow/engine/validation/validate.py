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
from xworkflow.engine.validation.structure import check_body, check_shared_names, check_structure
from xworkflow.engine.validation.subject import Subject
from xworkflow.engine.validation.topology import check_topology
from xworkflow.nodes.registry import NodeRegistry

_NO_GRAPH = frozenset({"E003", "E004", "E005"})
"""Findings after which there is no graph to walk."""
_HARMLESS = frozenset(
    {
        "E007", "E008", "E013", "E104", "E201", "E203", "E204", "E205", "E206", "E210", "E215",
        "E301", "E302", "E303", "E304", "E502",
    }
)  # fmt: skip
"""Errors that in a native body are warnings (W020): the reference looks into none, and runs it."""


def validate(
    schema: WorkflowSchema,
    types: NodeRegistry | None = None,
    *,
    mocked: frozenset[str] = frozenset(),
    foreign: frozenset[str] = frozenset(),
    limits: DslLimits | None = None,
) -> Report:
    """All diagnostics of a workflow, its bodies included.

    Nodes whose ids are in ``mocked`` are accepted whatever their type and data, and so are nodes of
    the types in ``foreign`` (registered executors). ``types`` are the built-in ones by default;
    without ``limits`` there are no limits of size.
    """
    subject = Subject(schema, types or NodeRegistry.builtin(), mocked, foreign)
    return Report(diagnostics=tuple(_once(_findings(subject, limits))))


def _findings(top: Subject, limits: DslLimits | None) -> Iterator[Diagnostic]:
    if limits is not None:
        yield from _lined(check_limits(top, limits), top)
        if limits.selector_validation is not None:
            yield from _lined(check_selectors(top, limits.selector_validation), top)
    yield from _lined(check_secrets(top), top)
    cycles = limits is None or limits.enable_cycle_detection
    subjects = tuple(_all(top))
    for subject in subjects:
        yield from _lined(_of(subject, cycles=cycles), subject)
    if top.dialect == "dify":
        yield from _lined(check_shared_names(subjects), top)


def _all(top: Subject) -> Iterator[Subject]:
    """A graph and its bodies, from the outside in; not recursive."""
    todo = [top]
    while todo:
        subject = todo.pop()
        yield subject
        todo += reversed(list(subject.bodies()))


def _of(subject: Subject, *, cycles: bool) -> Iterator[Diagnostic]:
    """The findings of one graph."""
    place = subject.place
    structure = list(
        check_structure(subject) if place is None else check_body(subject, place.owner)
    )
    found = list(structure)
    if _NO_GRAPH.isdisjoint(each.code for each in structure) and subject.root is not None:
        found += check_topology(subject, cycles=cycles)
    found += check_semantics(subject)
    soft = place is not None and subject.dialect == "native"
    yield from (_milder(each) if soft and each.code in _HARMLESS else each for each in found)


def _milder(found: Diagnostic) -> Diagnostic:
    return found.model_copy(
        update={"level": "warning", "code": "W020", "message": f"{found.message} ({found.code})"}
    )


def _lined(findings: Iterable[Diagnostic], subject: Subject) -> Iterator[Diagnostic]:
    """The findings with their line in the file."""
    for found in findings:
        line = found.line if found.line is not None else subject.line(found)
        yield found.model_copy(update={"line": line})


def _once(findings: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """What is wrong twice is said once."""
    yield from dict.fromkeys(findings)


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

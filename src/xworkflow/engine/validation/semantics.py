"""Layer 3: what nodes say of themselves, and whether their edges fit.

E201 to E304, E501, W201, W301.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.near_miss import nearest
from xworkflow.domain.plan import FAIL_BRANCH, SOURCE_HANDLES
from xworkflow.domain.schema import NodeSpec
from xworkflow.engine.validation.references import check_ends, check_references
from xworkflow.engine.validation.subject import Subject
from xworkflow.nodes.base import AnyNode, AnyNodeType, Node


def check_semantics(subject: Subject) -> Iterator[Diagnostic]:
    """Only of nodes that are neither mocked nor foreign, and that matter."""
    for spec in subject.nodes:
        node_type = subject.type_of(spec)
        if node_type is None or subject.accepted_unseen(spec) or not subject.matters(spec):
            continue
        try:
            data = node_type.data_model.model_validate(spec.data)
        except ValidationError as error:
            yield from _unreadable(spec, node_type, error)
            continue
        node = Node(spec.id, spec.type, spec.title, data, subject.dialect)
        yield from node_type.check(node)
        yield from check_references(subject, node, node_type)
        yield from _check_handles(subject, spec, node, node_type)
    yield from check_ends(subject)


def _unreadable(
    spec: NodeSpec, node_type: AnyNodeType, error: ValidationError
) -> Iterator[Diagnostic]:
    strange = spec.data.keys() - node_type.data_model.model_fields.keys()
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        field = field_path(problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        text = f"{field}: {message}" if field else message
        if problem["type"] == "missing":
            text += _misspelt(field, strange)
        yield finding(node_type.unreadable, text, node=spec.id, field=field or "data")


def _misspelt(field: str, strange: Iterable[str]) -> str:
    """A key that the type does not know may be the one that is missing."""
    near = nearest(field, strange)
    return f"; was '{near}' meant to be '{field}'?" if near else ""


def field_path(location: tuple[int | str, ...]) -> str:
    """``("cases", 0, "case_id")`` as ``cases[0].case_id``."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _check_handles(
    subject: Subject, spec: NodeSpec, node: AnyNode, node_type: AnyNodeType
) -> Iterator[Diagnostic]:
    handles = node_type.handles(node)
    drawn = frozenset(edge.handle for edge in subject.out_edges(spec.id))
    yield from node_type.check_edges(node, drawn)
    failing = spec.error_strategy is not None and spec.error_strategy.type == FAIL_BRANCH
    more = {FAIL_BRANCH} if failing else set[str]()
    if handles is None:
        yield from _check_plain(subject, spec, SOURCE_HANDLES | more)
    else:
        needed = handles if node_type.all_or_nothing else handles[-1:]
        yield from _check_branches(subject, spec, handles, needed, more)


def _check_plain(subject: Subject, spec: NodeSpec, legal: frozenset[str]) -> Iterator[Diagnostic]:
    for edge in subject.out_edges(spec.id):
        if edge.handle not in legal:
            text = (
                f"edge '{edge.id}' has the handle '{edge.handle}', but '{spec.id}' does not branch"
            )
            yield finding("E303", text, node=spec.id, edge=edge.id, field="source_handle")


def _check_branches(
    subject: Subject,
    spec: NodeSpec,
    handles: tuple[str, ...],
    needed: tuple[str, ...],
    more: set[str],
) -> Iterator[Diagnostic]:
    edges = subject.out_edges(spec.id)
    drawn = {edge.handle for edge in edges}
    # in Dify a branch without an edge just ends
    missing = [h for h in dict.fromkeys(handles) if h not in drawn and subject.dialect == "native"]
    for handle in missing:
        if handle in needed:
            yield finding("E301", f"no edge for the branch '{handle}'", node=spec.id)
        else:
            yield finding("E302", f"no edge for the case '{handle}'", node=spec.id)
    for edge in edges:
        if edge.handle in SOURCE_HANDLES and edge.handle not in handles:
            text = f"edge '{edge.id}' names no branch and will never be taken"
            yield finding("W301", text, node=spec.id, edge=edge.id, field="source_handle")
        elif edge.handle not in {*handles, *more}:
            text = f"edge '{edge.id}' has the unknown handle '{edge.handle}'"
            yield finding("E304", text, node=spec.id, edge=edge.id, field="source_handle")

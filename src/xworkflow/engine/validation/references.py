"""Whether what a node reads can be there when it runs. E402, E403, E502, W401, W502, and E217."""

from __future__ import annotations

from collections.abc import Iterator

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.placeholders import bad_references, references
from xworkflow.domain.selectors import RESERVED, SCOPE, Selector, SelectorError, check_depth, show
from xworkflow.engine.validation.subject import Subject
from xworkflow.nodes.base import AnyNode, AnyNodeType


def check_references(
    subject: Subject, node: AnyNode, node_type: AnyNodeType
) -> Iterator[Diagnostic]:
    for field, selector in node_type.selectors(node):
        try:
            check_depth(selector, subject.dialect)
        except SelectorError as error:
            yield finding("E217", f"{field}: {error}", node=node.id, field=field)
            continue
        yield from _check_root(subject, node.id, field, selector)
    for field, text in node_type.texts(node):
        yield from _check_text(subject, node, field, text)


def _check_root(
    subject: Subject, node_id: str, field: str, selector: Selector
) -> Iterator[Diagnostic]:
    """A value can be there only if its node may have run before, on some way (2.2, E403).

    Dify takes what cannot be there for null, and its exports keep selectors of nodes long gone.
    """
    root, named = selector[0], show(selector)
    if root in RESERVED:
        return
    lenient = subject.dialect == "dify"
    if root not in subject.by_id:
        text = f"'{named}' starts at '{root}', which is no node and no namespace"
        yield finding("W401" if lenient else "E402", text, node=node_id, field=field)
    elif subject.reachable is not None and root not in subject.reachable:
        text = f"'{named}' reads the node '{root}', which never runs: the value will be null"
        yield finding("W401", text, node=node_id, field=field)
    elif root == node_id or not subject.runs_before(root, node_id):
        text = f"'{named}' reads the node '{root}', which does not run before '{node_id}'"
        yield finding("W401" if lenient else "E403", text, node=node_id, field=field)


def _check_text(subject: Subject, node: AnyNode, field: str, text: str) -> Iterator[Diagnostic]:
    for bad in bad_references(text, subject.dialect):
        message = f"'{bad}' names no variable: a reference is written {{{{#node.variable#}}}}"
        yield finding("E502", message, node=node.id, field=field)
    for selector in references(text, subject.dialect, trim=True):
        root = selector[0]
        # one part alone has no node to name: E502
        if root != SCOPE and root not in RESERVED and root not in subject.by_id:
            message = f"'{show(selector)}' starts at '{root}', which is no node and no namespace"
            yield finding("W502", message, node=node.id, field=field)

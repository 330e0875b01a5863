"""Whether what a node reads can be there when it runs. E217, E402, E403, E502, W401, W403, W502."""

from __future__ import annotations

from collections.abc import Iterator

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.placeholders import bad_references, references
from xworkflow.domain.selectors import RESERVED, SCOPE, Selector, SelectorError, check_depth, show
from xworkflow.engine.validation.near_miss import did_you_mean
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
        yield from _check_input(subject, node.id, field, selector)
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
        hint = did_you_mean(root, subject.roots)
        text = f"'{named}' starts at '{root}', which is no node and no namespace{hint}"
        yield finding("W401" if lenient else "E402", text, node=node_id, field=field)
    elif subject.reachable is not None and root not in subject.reachable:
        text = f"'{named}' reads the node '{root}', which never runs: the value will be null"
        yield finding("W401", text, node=node_id, field=field)
    elif root == node_id or not subject.runs_before(root, node_id):
        text = f"'{named}' reads the node '{root}', which does not run before '{node_id}'"
        yield finding("W401" if lenient else "E403", text, node=node_id, field=field)


def _check_input(
    subject: Subject, node_id: str, field: str, selector: Selector
) -> Iterator[Diagnostic]:
    """Inputs need not be declared (1.6), but one that is nearly declared is a slip."""
    root, variable = selector[0], selector[1]
    if root != subject.root or variable in subject.inputs:
        return
    hint = did_you_mean(variable, subject.inputs)
    if hint:
        text = f"the start node declares no variable '{variable}'{hint}"
        yield finding("W403", text, node=node_id, field=field)


def _check_text(subject: Subject, node: AnyNode, field: str, text: str) -> Iterator[Diagnostic]:
    for bad in bad_references(text, subject.dialect):
        message = f"'{bad}' names no variable: a reference is written {{{{#node.variable#}}}}"
        yield finding("E502", message, node=node.id, field=field)
    for selector in references(text, subject.dialect, trim=True):
        root = selector[0]
        # one part alone has no node to name: E502
        if root != SCOPE and root not in RESERVED and root not in subject.by_id:
            hint = did_you_mean(root, subject.roots)
            start = f"'{show(selector)}' starts at '{root}'"
            message = f"{start}, which is no node and no namespace{hint}"
            yield finding("W502", message, node=node.id, field=field)

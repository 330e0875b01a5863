"""Whether what a node reads can be there when it runs. E217, E402, E403, E502, W401, W403, W502."""

from __future__ import annotations

from collections.abc import Iterator

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.near_miss import did_you_mean
from xworkflow.domain.placeholders import bad_references, references
from xworkflow.domain.selectors import RESERVED, SCOPE, Selector, SelectorError, check_depth, show
from xworkflow.engine.validation.subject import Subject
from xworkflow.nodes.base import AnyNode, AnyNodeType


def check_references(
    subject: Subject, node: AnyNode, node_type: AnyNodeType
) -> Iterator[Diagnostic]:
    for field, selector in node_type.selectors(node):
        yield from _check_selector(subject, node.id, field, selector, node.id)
    for field, text in node_type.texts(node):
        yield from _check_text(subject, node, field, text)


def check_ends(subject: Subject) -> Iterator[Diagnostic]:
    """What a container reads where a run of its body, the subject, has ended."""
    if subject.place is None or subject.place.container is None:
        return
    node, container = subject.place.container
    for field, selector in container.inner_selectors(node):
        yield from _check_selector(subject, node.id, field, selector, None)


def _check_selector(
    subject: Subject, node_id: str, field: str, selector: Selector, reader: str | None
) -> Iterator[Diagnostic]:
    """``reader`` is the node that must come later; None is the end of the subject's run."""
    try:
        check_depth(selector, subject.dialect)
    except SelectorError as error:
        yield finding("E217", f"{field}: {error}", node=node_id, field=field)
        return
    root, named = selector[0], show(selector)
    if root in RESERVED:
        return
    here = subject
    while root not in here.by_id:
        if here.place is None:
            text = _unknown(subject, selector)
            yield finding("W401" if subject.lenient else "E402", text, node=node_id, field=field)
            return
        offers = here.place.offers
        if selector[:2] in offers:
            return
        names = {variable for space, variable in offers if space == root != SCOPE}
        if names:
            text = f"'{named}' is no variable of '{root}'{did_you_mean(selector[1], names)}"
            yield finding("W401", text, node=node_id, field=field)
            return
        here, reader = here.place.subject, here.place.owner
    problem = _too_early(here, selector, reader)
    if problem:
        soft = subject.lenient or problem.code == "W401"
        code = "W401" if soft else problem.code
        yield finding(code, problem.message, node=node_id, field=field)
    if here.place is None:
        yield from _check_input(here, node_id, field, selector)


def _unknown(subject: Subject, selector: Selector) -> str:
    if selector[0] == SCOPE and subject.place is not None:
        names = {s[1] for place in subject.around() for s in place.offers if s[0] == SCOPE}
        hint = did_you_mean(selector[1], names)
        return f"'{selector[1]}' is no variable of the bodies around this node{hint}"
    hint = did_you_mean(selector[0], subject.roots)
    return f"'{show(selector)}' starts at '{selector[0]}', which is no node and no namespace{hint}"


def _too_early(subject: Subject, selector: Selector, reader: str | None) -> Diagnostic | None:
    """A value can be there only if its node may have run before, on some way (2.2, E403).

    Dify takes what cannot be there for null, and its exports keep selectors of nodes long gone.
    """
    root, named = selector[0], show(selector)
    if subject.reachable is not None and root not in subject.reachable:
        text = f"'{named}' reads the node '{root}', which never runs: the value will be null"
        return finding("W401", text)
    if reader is not None and (root == reader or not subject.runs_before(root, reader)):
        text = f"'{named}' reads the node '{root}', which does not run before '{reader}'"
        return finding("E403", text)
    return None


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
        # of a body's own variables one part is enough
        if not subject.sees((SCOPE, bad)):
            message = f"'{bad}' names no variable: a reference is written {{{{#node.variable#}}}}"
            yield finding("E502", message, node=node.id, field=field)
    for selector in references(text, subject.dialect, trim=True):
        root = selector[0]
        # one part alone has no node to name: E502
        if root != SCOPE and root not in RESERVED and not subject.sees(selector):
            hint = did_you_mean(root, subject.roots)
            start = f"'{show(selector)}' starts at '{root}'"
            message = f"{start}, which is no node and no namespace{hint}"
            yield finding("W502", message, node=node.id, field=field)

"""Layer 1: are the parts there, do they have names, are their types known.

E002 to E013, E050, W001.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.near_miss import did_you_mean
from xworkflow.domain.schema import NodeSpec
from xworkflow.engine.validation.subject import OUTPUT_TYPES, Subject
from xworkflow.nodes.unsupported import ENTRY_TYPES, missing_provider

SUPPORTED_VERSION = "0.1.0"


def check_structure(subject: Subject) -> Iterator[Diagnostic]:
    schema = subject.schema
    if schema.dialect == "native" and schema.version != SUPPORTED_VERSION:
        text = f"Unsupported DSL version: {schema.version}, supported versions: {SUPPORTED_VERSION}"
        yield finding("E002", text, field="version")
    if not schema.nodes:
        yield finding("E003", "the workflow has no nodes", field="nodes")
        return
    yield from _check_ends(subject)
    yield from _check_nodes(subject)
    for node in subject.nodes:
        if not node.title.strip():
            yield finding("W001", "the node has no title", node=node.id, field="title")
    yield from _check_edges(subject)


def check_body(subject: Subject, owner: str | None) -> Iterator[Diagnostic]:
    """The same of a body; that one has no nodes is its container's affair (E211, E213, E216)."""
    if not subject.nodes:
        return
    if subject.root is None:
        text = "No start node found in sub-graph"
        yield finding("E004", text, node=owner, field="sub_graph")
    if subject.dialect == "native" and all(node.type != "end" for node in subject.nodes):
        text = "No end node found in sub-graph"
        yield finding("E006", text, node=owner, field="sub_graph")
    yield from _check_nodes(subject)
    yield from _check_edges(subject)


def check_shared_names(subjects: Iterable[Subject]) -> Iterator[Diagnostic]:
    """Dify's files keep all nodes in one list, so an id is used once, whatever the body."""
    counted = Counter(node_id for subject in subjects for node_id in subject.by_id)
    for node_id, count in counted.items():
        if count > 1:
            text = f"{count} nodes in different bodies have the id '{node_id}'"
            yield finding("E007", text, node=node_id)


def _check_ends(subject: Subject) -> Iterator[Diagnostic]:
    types = Counter(node.type for node in subject.nodes)
    if not types["start"] and not any(types[entry] for entry in ENTRY_TYPES):
        yield finding("E004", "the workflow has no start node")
    if types["start"] > 1:
        yield finding("E005", f"the workflow has {types['start']} start nodes")
    if not any(types[output] for output in OUTPUT_TYPES) and not _answers_inside(subject):
        yield finding("E006", "the workflow has neither an end nor an answer node")


def _answers_inside(subject: Subject) -> bool:
    """Whether a body answers: Dify's chat shows what is said in one as any other answer."""
    return subject.dialect == "dify" and any(
        any(node.type == "answer" for node in body.nodes) or _answers_inside(body)
        for body in subject.bodies()
    )


def _check_nodes(subject: Subject) -> Iterator[Diagnostic]:
    for node_id, count in Counter(node.id for node in subject.nodes).items():
        if not node_id.strip():
            yield finding("E008", "a node has a blank id", node=node_id, field="id")
        elif count > 1:
            yield finding("E007", f"{count} nodes have the id '{node_id}'", node=node_id)
    for node in subject.nodes:
        yield from _check_type(node, subject)


def _check_type(node: NodeSpec, subject: Subject) -> Iterator[Diagnostic]:
    if subject.known(node.type) or subject.accepted_unseen(node) or not subject.matters(node):
        return
    if subject.is_mark(node.type):
        text = f"node type '{node.type}' means something only inside of an iteration or loop"
        yield finding("E050", text, node=node.id, field="type")
        return
    provider = missing_provider(node.type)
    if provider is None:
        hint = did_you_mean(node.type, subject.type_names)
        text = f"unknown node type '{node.type}'{hint}"
        yield finding("E009", text, node=node.id, field="type")
        return
    text = f"node type '{node.type}' is not supported here; what would provide it: {provider}"
    yield finding("E050", text, node=node.id, field="type")


def _check_edges(subject: Subject) -> Iterator[Diagnostic]:
    # Dify's exports keep edges of nodes long gone; they lead nowhere
    source_code, target_code = ("E010", "E011") if subject.dialect == "native" else ("W102", "W102")
    invalid = "" if subject.place is None else "Invalid edge reference: "
    for edge in subject.edges:
        if edge.source not in subject.by_id:
            text = f"{invalid}edge '{edge.id}' starts at the unknown node '{edge.source}'"
            yield finding(source_code, text, edge=edge.id, field="source")
        if edge.target not in subject.by_id:
            text = f"{invalid}edge '{edge.id}' leads to the unknown node '{edge.target}'"
            yield finding(target_code, text, edge=edge.id, field="target")
        if edge.source == edge.target:
            text = f"edge '{edge.id}' leads from '{edge.source}' to itself"
            yield finding("E012", text, edge=edge.id)
    drawn = Counter((edge.source, edge.target, edge.source_handle or "") for edge in subject.edges)
    for edge in subject.edges:
        if drawn.pop((edge.source, edge.target, edge.source_handle or ""), 1) > 1:
            text = f"'{edge.source}' and '{edge.target}' are joined twice by the same handle"
            yield finding("E013", text, edge=edge.id)

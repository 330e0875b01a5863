"""Which nodes give their output in pieces (spec/graph.md 5.5).

The reference asks at run time whether a stream is still open when a node starts; that depends on
chance. Here it is a property of the drawing: an llm that streams, and a text that quotes one,
directly or through another such text.
"""

from __future__ import annotations

from collections.abc import Iterable

from xworkflow.nodes.base import AnyNode, AnyNodeType


def streaming_nodes(nodes: Iterable[tuple[AnyNode, AnyNodeType]]) -> frozenset[str]:
    """The ids of the nodes whose output comes in pieces."""
    quoted_by: dict[str, list[str]] = {}
    found: list[str] = []
    for node, node_type in nodes:
        if node_type.streams(node):
            found.append(node.id)
        for selector in node_type.quotes(node):
            quoted_by.setdefault(selector[0], []).append(node.id)
    streaming = set(found)
    while found:
        for quoting in quoted_by.get(found.pop(), ()):
            if quoting not in streaming:
                streaming.add(quoting)
                found.append(quoting)
    return frozenset(streaming)

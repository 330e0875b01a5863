"""A node type that is not built in: its executor lives in a group's registry, in the worker.

The workflow knows only its name. By default the selectors and ``{{#…#}}`` references of its
configuration cross to it; an executor that declares ``reads_all`` gets a snapshot of the pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from xworkflow.domain.plan import Placement
from xworkflow.domain.selectors import Selector, SelectorError, parse_selector
from xworkflow.domain.values import JsonValue
from xworkflow.nodes.base import Node, NodeData, NodeType


class ForeignNode(NodeType[NodeData]):
    """The workflow's side of a registered executor."""

    type = "foreign"
    data_model = NodeData
    placement = Placement.ACTIVITY

    def __init__(self, *, reads_all: bool) -> None:
        self.reads_all = reads_all

    def selectors(self, node: Node[NodeData]) -> Iterator[tuple[str, Selector]]:
        for path, value in _walk(node.data.model_dump(), ""):
            if path.endswith("selector"):
                try:
                    yield path, parse_selector(value)
                except SelectorError:
                    continue

    def texts(self, node: Node[NodeData]) -> Iterator[tuple[str, str]]:
        for path, value in _walk(node.data.model_dump(), ""):
            if isinstance(value, str) and "{{#" in value:
                yield path, value


def _walk(value: JsonValue, path: str) -> Iterator[tuple[str, JsonValue]]:
    """Every value below, with its dotted path; parents before children."""
    if path:
        yield path, value
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from _walk(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _walk(item, f"{path}[{index}]")

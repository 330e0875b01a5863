"""Type name → node type. Built-in types are found by importing the modules of this package.

A class says ``@node_type`` and is found; nothing else has to be edited for a new one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import TypeVar

from xworkflow import nodes
from xworkflow.errors import MisuseError, NodeError
from xworkflow.nodes.base import AnyNodeType, ContainerNode, InlineNode, WaitNode, WorkNode

T = TypeVar("T", bound=AnyNodeType)

_PLACED = (InlineNode, WorkNode, ContainerNode, WaitNode)
_declared: dict[str, AnyNodeType] = {}


def node_type(cls: type[T]) -> type[T]:
    """Declare a built-in node type. Raises MisuseError for a name taken or a type without work."""
    if not issubclass(cls, _PLACED):
        kinds = ", ".join(kind.__name__ for kind in _PLACED)
        raise MisuseError(f"{cls.__name__} must be one of {kinds}")
    other = _declared.get(cls.type)
    # a module that is loaded twice (the workflow sandbox may) declares the same class again
    if other is not None and type(other).__qualname__ != cls.__qualname__:
        raise MisuseError(f"node type '{cls.type}' is declared by {type(other).__name__} already")
    _declared[cls.type] = cls()
    return cls


class NodeRegistry:
    """An immutable set of node types, so that what a run can do never changes under it."""

    def __init__(self, types: Iterable[AnyNodeType]) -> None:
        """Raises MisuseError when two types claim one name."""
        self._types: Mapping[str, AnyNodeType] = MappingProxyType(_by_name(types))

    @classmethod
    def builtin(cls) -> NodeRegistry:
        """The types that come with xworkflow; made once per process."""
        return _builtin()

    def find(self, name: str) -> AnyNodeType | None:
        """The type of that name or alias, those of bodies included; None when there is none."""
        return self._types.get(name)

    def get(self, name: str) -> AnyNodeType:
        """As ``find``. Raises NodeError ``config_error`` when there is none."""
        found = self.find(name)
        if found is None:
            raise NodeError.of_kind("config_error", f"No executor for node type: {name}")
        return found

    def names(self, *, in_body: bool = False) -> frozenset[str]:
        """Every name that a node may use at the top level or in a body, aliases included."""
        if in_body:
            return frozenset(self._types)
        return frozenset(
            name
            for name, found in self._types.items()
            if name not in found.sub_graph_aliases and not found.in_bodies_only
        )

    def all(self) -> tuple[AnyNodeType, ...]:
        """Every type once, by name."""
        found = {each.type: each for each in self._types.values()}
        return tuple(found[name] for name in sorted(found))

    def including(self, *types: AnyNodeType) -> NodeRegistry:
        """A registry with more types, each of which replaces one of its own name."""
        own = {found.type: found for found in self._types.values()}
        return NodeRegistry({**own, **{added.type: added for added in types}}.values())


def _by_name(types: Iterable[AnyNodeType]) -> dict[str, AnyNodeType]:
    named: dict[str, AnyNodeType] = {}
    for found in types:
        for name in (found.type, *found.aliases, *found.sub_graph_aliases):
            if name in named:
                raise MisuseError(f"two node types claim the name '{name}'")
            named[name] = found
    return named


@cache
def _builtin() -> NodeRegistry:
    for module in sorted(info.name for info in pkgutil.iter_modules(nodes.__path__)):
        importlib.import_module(f"{nodes.__name__}.{module}")
    return NodeRegistry(_declared.values())

"""Declared outputs of Dify's code node, ``{name: {type, children}}``, against what came back.

Limits are Dify's own defaults (spec/dify.md E1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

from pydantic import BaseModel, ConfigDict

from xworkflow.domain.values import JsonValue, is_number, kind_of
from xworkflow.errors import NodeError, NodeFailure

MAX_DEPTH = 5
"""Of the returned object, itself included."""
MAX_TEXT = 400_000
MAX_ITEMS = 30
"""Of arrays of texts or objects."""
MAX_NUMBERS = 1000


class OutputSpec(BaseModel):
    """One declared output; ``children`` are the members of an object."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = "string"
    children: dict[str, OutputSpec] | None = None


def declared(
    specs: Mapping[str, OutputSpec], returned: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """The declared outputs, and only those. Null passes for every type.

    Raises NodeError ``output_validation_error``, which names each output that is missing, has
    another type, or is too large.
    """
    problems = list(_members(specs, returned, ""))
    problems += [
        f"{name} is nested deeper than {MAX_DEPTH} levels"
        for name in specs
        if _depth({name: returned.get(name)}) > MAX_DEPTH
    ]
    if problems:
        text = "Output validation error: " + "; ".join(problems)
        raise NodeError(NodeFailure(code="output_validation_error", text=text))
    return {name: returned[name] for name in specs}


def _members(
    specs: Mapping[str, OutputSpec], found: Mapping[str, JsonValue], prefix: str
) -> Iterator[str]:
    for name, spec in specs.items():
        path = f"{prefix}{name}"
        if name not in found:
            yield f"{path} is missing"
        elif found[name] is not None:
            yield from _value(spec, found[name], path)


def _value(spec: OutputSpec, value: JsonValue, path: str) -> Iterator[str]:
    if spec.type.startswith("array["):
        yield from _array(spec.type, value, path)
    elif not _fits(spec.type, value):
        yield f"{path} must be a {spec.type}, not {kind_of(value)}"
    elif isinstance(value, str) and len(value) > MAX_TEXT:
        yield f"{path} is longer than {MAX_TEXT} characters"
    elif spec.children and isinstance(value, dict):
        yield from _members(spec.children, cast("dict[str, Any]", value), f"{path}.")


def _array(declared_type: str, value: JsonValue, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path} must be an {declared_type}, not {kind_of(value)}"
        return
    items = cast("list[Any]", value)
    item_type = declared_type.removeprefix("array[").removesuffix("]")
    limit = MAX_NUMBERS if item_type == "number" else MAX_ITEMS
    if len(items) > limit:
        yield f"{path} has more than {limit} items"
    for index, item in enumerate(items):
        if item is not None and not _fits(item_type, item):
            yield f"{path}[{index}] must be a {item_type}, not {kind_of(item)}"


_CHECKS: Mapping[str, Callable[[JsonValue], bool]] = MappingProxyType(
    {
        "string": lambda value: isinstance(value, str),
        "number": is_number,
        "boolean": lambda value: isinstance(value, bool),
        "object": lambda value: isinstance(value, dict),
    }
)


def _fits(declared_type: str, value: JsonValue) -> bool:
    check = _CHECKS.get(declared_type)
    return check is None or check(value)


def _depth(value: JsonValue) -> int:
    """How many objects and lists lie in one another, the value itself included."""
    level: list[JsonValue] = [value]
    depth = 0
    while any(isinstance(item, (dict, list)) for item in level):
        depth += 1
        level = [child for item in level for child in _children(item)]
    return depth


def _children(value: JsonValue) -> Iterable[JsonValue]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()

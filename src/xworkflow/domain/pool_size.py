"""How large a variable pool is, as a quota counts it (spec/runtime.md 6.5), and what is too large.

A size is kept with its pool and follows each write, so that it can be asked before every node. It
is an estimate: characters of keys, 8 bytes for a number, truth or null, the bytes of a text, 16 for
a list or an object, 32 more for a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from xworkflow.domain.values import FILE_MARK, JsonValue
from xworkflow.errors import NodeFailure

_SCALAR: Final = 8
_CONTAINER: Final = 16
_FILE: Final = 32


@dataclass(frozen=True, slots=True)
class PoolSize:
    """Variables and bytes. Of a value that has more bytes than ``most`` only that is known."""

    entries: int
    size: int
    most: int

    def with_value(self, name: str, variable: str, old: JsonValue, new: JsonValue) -> PoolSize:
        """After a variable was written; ``old`` is ``ABSENT`` where there was none."""
        entries, size = self.entries, self.size
        if old is ABSENT:
            entries += 1
            size += len(name) + len(variable)
        else:
            size -= estimate(old, self.most)
        return PoolSize(entries, size + estimate(new, self.most), self.most)


ABSENT: Final = object()
"""Stands for the value of a variable that is not there; null is a value."""


def estimate(value: JsonValue, most: int) -> int:
    """The bytes of a value, or some number above ``most``: one value may hold another a thousand
    times and more, without being larger in memory."""
    total = 0
    todo: list[Any] = [value]
    while todo and total <= most:
        here = todo.pop()
        if isinstance(here, str):
            total += len(here) if here.isascii() else len(here.encode(errors="surrogatepass"))
        elif isinstance(here, dict):
            members = cast("dict[str, Any]", here)
            total += _CONTAINER + sum(map(len, members)) + (_FILE if FILE_MARK in members else 0)
            todo.extend(members.values())
        elif isinstance(here, (list, tuple)):
            total += _CONTAINER
            todo.extend(cast("list[Any]", here))
        else:
            total += _SCALAR
    return total


def too_large(
    entries: int, size: int, *, max_entries: int | None, max_size: int | None
) -> NodeFailure | None:
    """The failure of a node that would start over a pool that its quota does not allow."""
    for kind, name, found, most in (
        ("variable_pool_entries", "entries", entries, max_entries),
        ("variable_pool_bytes", "bytes", size, max_size),
    ):
        if most is not None and found > most:
            return NodeFailure(
                code="resource_limit_exceeded",
                text=f"Variable pool {name} exceeded: {found}/{most}",
                # the pool stays as large: neither a retry nor an error strategy can help
                severity="fatal",
                metadata={"quota_type": kind, "limit": most, "current": found},
            )
    return None

"""``WorkflowCache``: compiled workflows by group and content, so that a server reads each once."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from xworkflow.client.compiled import CompiledWorkflow, compile_text
from xworkflow.domain.loading import Format

_Key = tuple[str, Format | None]
"""The content's hash, and how it is to be read."""


@dataclass(frozen=True, slots=True)
class CacheStats:
    """``entries`` is how many are kept now; the others only grow. A hit compiles nothing;
    ``evicted`` made room for others, ``expired`` was older than the time to live."""

    entries: int = 0
    hits: int = 0
    misses: int = 0
    evicted: int = 0
    expired: int = 0


@dataclass(slots=True)
class _Entry:
    compiled: CompiledWorkflow
    made_at: float
    used: int


@dataclass(slots=True)
class _Group:
    """One group's entries, the least recently used first."""

    entries: OrderedDict[_Key, _Entry] = field(default_factory=OrderedDict[_Key, _Entry])
    stats: CacheStats = field(default_factory=CacheStats)

    def count(self, **more: int) -> None:
        counted = {name: getattr(self.stats, name) + n for name, n in more.items()}
        self.stats = replace(self.stats, **counted)

    def present_stats(self) -> CacheStats:
        return replace(self.stats, entries=len(self.entries))


class WorkflowCache:
    """Least recently used goes first, within a group and over all (spec/runtime.md 1.4).

    0 is no limit; ``ttl_secs`` None keeps an entry for ever. Groups share nothing, so that one
    cannot find out what another has. Thread-safe.
    """

    def __init__(
        self,
        *,
        max_entries_per_group: int = 100,
        max_total_entries: int = 1_000,
        ttl_secs: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_per_group = max_entries_per_group
        self._max_total = max_total_entries
        self._ttl_secs = ttl_secs
        self._clock = clock
        self._groups: dict[str, _Group] = {}
        self._uses = 0
        self._lock = threading.Lock()

    def get_or_compile(
        self,
        group_id: str,
        content: str | bytes,
        format: Format | None = None,  # noqa: A002 - as in ``load``
    ) -> CompiledWorkflow:
        """The workflow of a text. Raises as ``WorkflowRunner.compile``; failures are not kept."""
        key = _key(content, format)
        with self._lock:
            found = self._find(group_id, key)
        if found is not None:
            return found
        compiled = compile_text(content, format)
        with self._lock:
            return self._keep(group_id, key, compiled)

    def invalidate(
        self,
        group_id: str,
        content: str | bytes,
        format: Format | None = None,  # noqa: A002 - as in ``load``
    ) -> bool:
        """Forget one text of a group. False when it was not there."""
        with self._lock:
            group = self._groups.get(group_id)
            return group is not None and group.entries.pop(_key(content, format), None) is not None

    def clear_group(self, group_id: str) -> None:
        """Forget a group, with its counters."""
        with self._lock:
            self._groups.pop(group_id, None)

    def clear_all(self) -> None:
        with self._lock:
            self._groups.clear()

    def stats(self) -> CacheStats:
        """The sum over all groups."""
        with self._lock:
            each = [group.present_stats() for group in self._groups.values()]
        return CacheStats(
            entries=sum(stats.entries for stats in each),
            hits=sum(stats.hits for stats in each),
            misses=sum(stats.misses for stats in each),
            evicted=sum(stats.evicted for stats in each),
            expired=sum(stats.expired for stats in each),
        )

    def group_stats(self, group_id: str) -> CacheStats:
        with self._lock:
            group = self._groups.get(group_id)
            return CacheStats() if group is None else group.present_stats()

    # ---- under the lock

    def _find(self, group_id: str, key: _Key) -> CompiledWorkflow | None:
        group = self._groups.setdefault(group_id, _Group())
        entry = group.entries.get(key)
        if entry is not None and self._is_expired(entry):
            del group.entries[key]
            group.count(expired=1)
            entry = None
        if entry is None:
            group.count(misses=1)
            return None
        group.count(hits=1)
        self._use(group, key, entry)
        return entry.compiled

    def _keep(self, group_id: str, key: _Key, compiled: CompiledWorkflow) -> CompiledWorkflow:
        """What is kept: another thread may have been first."""
        group = self._groups.setdefault(group_id, _Group())
        entry = group.entries.setdefault(key, _Entry(compiled, self._clock(), 0))
        self._use(group, key, entry)
        if 0 < self._max_per_group < len(group.entries):
            self._evict(group)
        if 0 < self._max_total < sum(len(each.entries) for each in self._groups.values()):
            self._evict(min(filter(_has_entries, self._groups.values()), key=_oldest_use))
        return entry.compiled

    def _use(self, group: _Group, key: _Key, entry: _Entry) -> None:
        self._uses += 1
        entry.used = self._uses
        group.entries.move_to_end(key)

    def _evict(self, group: _Group) -> None:
        group.entries.popitem(last=False)
        group.count(evicted=1)

    def _is_expired(self, entry: _Entry) -> bool:
        return self._ttl_secs is not None and self._clock() - entry.made_at >= self._ttl_secs


def _has_entries(group: _Group) -> bool:
    return bool(group.entries)


def _oldest_use(group: _Group) -> int:
    return next(iter(group.entries.values())).used


def _key(content: str | bytes, format: Format | None) -> _Key:  # noqa: A002
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest(), format

"""Compiled schemas of this process, by content.

A worker runs the same few workflows over and over: the second run of one costs a hash. What a
running workflow holds can always be found again, however many others came after it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from weakref import WeakValueDictionary

from xworkflow.domain.schema import WorkflowSchema, schema_hash
from xworkflow.engine.compile import Compiled, CompileError, CompileOptions, compile_schema
from xworkflow.nodes.registry import NodeRegistry


class PlanCache:
    """Keeps the most recently used compilations. Thread-safe; a hit changes no result, so a
    workflow may use it (replay-safe)."""

    def __init__(self, types: NodeRegistry, max_entries: int = 256) -> None:
        self._types = types
        self._max_entries = max_entries
        self._recent: OrderedDict[str, Compiled] = OrderedDict()
        self._alive: WeakValueDictionary[str, Compiled] = WeakValueDictionary()
        self._lock = threading.Lock()

    def get(self, schema_text: str, options: CompileOptions) -> Compiled:
        """The compilation of a schema's canonical text. Raises CompileError."""
        key = options.key(schema_hash(schema_text))
        found = self.find(key)
        if found is None:
            try:
                schema = WorkflowSchema.model_validate_json(schema_text)
            except ValueError as error:
                raise CompileError(f"not a workflow schema: {error}") from None
            found = compile_schema(schema, self._types, options)
            self._keep(key, found)
        return found

    def find(self, key: str) -> Compiled | None:
        """What ``get`` has compiled in this process and somebody still uses."""
        with self._lock:
            found = self._alive.get(key)
            if found is not None:
                self._recent[key] = found
                self._recent.move_to_end(key)
            return found

    def _keep(self, key: str, compiled: Compiled) -> None:
        with self._lock:
            self._alive[key] = compiled
            self._recent[key] = compiled
            while len(self._recent) > self._max_entries:
                self._recent.popitem(last=False)


plans = PlanCache(NodeRegistry.builtin())
"""The process's cache."""

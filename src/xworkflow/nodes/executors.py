"""The seed's plugin protocol: ``NodeExecutor``, and the registry that a group shares.

A built-in type is reached by the same protocol, so that a registry answers for every type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast, runtime_checkable

from pydantic import ValidationError

from xworkflow.domain.pool import VariablePool
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.values import JsonValue
from xworkflow.errors import MisuseError, NodeError
from xworkflow.nodes.base import AnyNodeType, InlineNode, Node, WorkNode
from xworkflow.nodes.registry import NodeRegistry
from xworkflow.ports import Ports


class ExecutionContext(Protocol):
    """What an executor gets as its context: in an activity, the run's ``WorkflowContext``."""

    @property
    def execution_id(self) -> str: ...

    def ports(self) -> Ports: ...


@runtime_checkable
class NodeExecutor(Protocol):
    """Runs all nodes of one type, in an activity. Shared by all runs of a group.

    ``variable_pool`` holds what the node's configuration names; set ``reads_all = True`` on the
    executor to get a snapshot of everything. Raises NodeError for a failure of the node.
    """

    async def execute(
        self,
        node_id: str,
        config: Mapping[str, JsonValue],
        variable_pool: VariablePool,
        context: Any,  # noqa: ANN401 - a WorkflowContext; executors of plugins narrow it as they like
    ) -> NodeRunResult: ...


class BuiltInExecutor:
    """A built-in node type behind the seed's protocol."""

    def __init__(self, node_type: AnyNodeType) -> None:
        self.node_type = node_type

    async def execute(
        self,
        node_id: str,
        config: Mapping[str, JsonValue],
        variable_pool: VariablePool,
        context: ExecutionContext,
    ) -> NodeRunResult:
        try:
            data = self.node_type.data_model.model_validate(dict(config))
        except ValidationError as error:
            raise NodeError.of_kind("config_error", str(error.errors()[0]["msg"])) from None
        node = Node(node_id, self.node_type.type, str(config.get("title", "")), data, "native")
        if isinstance(self.node_type, WorkNode):
            return await self.node_type.execute(node, variable_pool, context.ports())
        return cast("InlineNode[Any]", self.node_type).run(node, variable_pool)


class NodeExecutorRegistry:
    """Type name → executor. ``NodeExecutorRegistry()`` has the built-ins."""

    def __init__(self, types: NodeRegistry | None = None) -> None:
        self._types = NodeRegistry.builtin() if types is None else types
        self._executors: dict[str, NodeExecutor] = {}
        self._factories: dict[str, Callable[[], NodeExecutor]] = {}

    @classmethod
    def empty(cls) -> NodeExecutorRegistry:
        """A registry without the built-ins."""
        return cls(NodeRegistry(()))

    @classmethod
    def with_builtins(cls) -> NodeExecutorRegistry:
        """As ``NodeExecutorRegistry()``."""
        return cls()

    def register(self, node_type: str, executor: NodeExecutor) -> None:
        """Add or replace; a built-in type cannot be replaced, as its place in a run is fixed."""
        self._refuse_built_in(node_type)
        self._factories.pop(node_type, None)
        self._executors[node_type] = executor

    def register_lazy(self, node_type: str, factory: Callable[[], NodeExecutor]) -> None:
        """Add an executor that is made once, when it is first asked for."""
        self._refuse_built_in(node_type)
        self._executors.pop(node_type, None)
        self._factories[node_type] = factory

    def apply_plugin_executors(self, executors: Mapping[str, NodeExecutor]) -> None:
        """Add or replace the executors of plugins, by type; all of them or, on an error, none."""
        for node_type in executors:
            self._refuse_built_in(node_type)
        for node_type, executor in executors.items():
            self.register(node_type, executor)

    def get(self, node_type: str) -> NodeExecutor:
        """Raises NodeError ``config_error`` when there is none."""
        factory = self._factories.get(node_type)
        if factory is not None:
            self.register(node_type, factory())
        registered = self._executors.get(node_type)
        if registered is not None:
            return registered
        return BuiltInExecutor(self._types.get(node_type))

    def list_registered_types(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted({*self._types.names(), *self.foreign_types()}))

    def foreign_types(self) -> tuple[str, ...]:
        """The names that are not built in, sorted."""
        return tuple(sorted({*self._executors, *self._factories}))

    def copy(self) -> NodeExecutorRegistry:
        """A registry of its own with the same executors."""
        twin = NodeExecutorRegistry(self._types)
        twin._executors.update(self._executors)
        twin._factories.update(self._factories)
        return twin

    def _refuse_built_in(self, node_type: str) -> None:
        if self._types.find(node_type) is not None:
            raise MisuseError(f"'{node_type}' is a built-in node type; choose another name")

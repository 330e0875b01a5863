"""The seed's plugin protocol, and the registry that a group shares (spec/runtime.md 1.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.nodes.conftest import FakeSandbox, ports
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.results import NodeRunResult
from xworkflow.errors import MisuseError, NodeError
from xworkflow.nodes.executors import BuiltInExecutor, NodeExecutor, NodeExecutorRegistry
from xworkflow.ports import Ports


class Shout:
    """An executor as a user writes one."""

    async def execute(
        self, node_id: str, config: Mapping[str, Any], variable_pool: VariablePool, context: Any
    ) -> NodeRunResult:
        del context
        text = variable_pool.get(tuple(config["of_selector"]))
        return NodeRunResult(outputs={"text": f"{node_id}: {str(text).upper()}"})


class Context:
    """As much of a context as a built-in type needs."""

    execution_id = "run"

    def __init__(self, lent: Ports | None = None) -> None:
        self._lent = lent

    def ports(self) -> Ports:
        return self._lent or ports()


def counting() -> tuple[list[Shout], Any]:
    made: list[Shout] = []

    def make() -> Shout:
        made.append(Shout())
        return made[-1]

    return made, make


async def test_an_executor_is_called_with_id_config_pool_and_context() -> None:
    result = await Shout().execute(
        "n", {"of_selector": ["a", "b"]}, VariablePool({"a": {"b": "hi"}}), Context()
    )
    assert result.outputs == {"text": "n: HI"}


def test_what_has_execute_is_an_executor() -> None:
    assert isinstance(Shout(), NodeExecutor)
    assert not isinstance(object(), NodeExecutor)


def test_a_new_registry_has_the_built_in_types() -> None:
    types = {"start", "end", "if-else", "code", "http-request"}
    assert types <= set(NodeExecutorRegistry().list_registered_types())
    both = (NodeExecutorRegistry(), NodeExecutorRegistry.with_builtins())
    assert both[0].list_registered_types() == both[1].list_registered_types()
    assert both[0].foreign_types() == ()


def test_an_empty_registry_has_none() -> None:
    registry = NodeExecutorRegistry.empty()
    assert registry.list_registered_types() == ()
    with pytest.raises(NodeError, match="No executor for node type: code"):
        registry.get("code")


def test_a_registered_executor_is_found_as_the_very_object() -> None:
    registry, shout = NodeExecutorRegistry(), Shout()
    registry.register("shout", shout)
    assert registry.get("shout") is shout
    assert registry.foreign_types() == ("shout",)
    assert "shout" in registry.list_registered_types()


def test_a_second_executor_of_a_type_replaces_the_first() -> None:
    registry, second = NodeExecutorRegistry(), Shout()
    registry.register("shout", Shout())
    registry.register("shout", second)
    assert registry.get("shout") is second


def test_a_lazy_executor_is_made_once_and_only_at_need() -> None:
    made, make = counting()
    registry = NodeExecutorRegistry()
    registry.register_lazy("shout", make)
    assert registry.foreign_types() == ("shout",)
    assert made == []
    assert registry.get("shout") is registry.get("shout")
    assert len(made) == 1


def test_an_executor_replaces_a_lazy_one_and_the_other_way_round() -> None:
    made, make = counting()
    registry, shout = NodeExecutorRegistry(), Shout()
    registry.register_lazy("shout", make)
    registry.register("shout", shout)
    assert registry.get("shout") is shout
    assert made == []
    registry.register_lazy("shout", make)
    assert registry.get("shout") is made[0]


def test_a_factory_that_failed_is_asked_again() -> None:
    answers = [ValueError("not yet"), Shout()]

    def make() -> Shout:
        answer = answers.pop(0)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    registry = NodeExecutorRegistry()
    registry.register_lazy("shout", make)
    with pytest.raises(ValueError, match="not yet"):
        registry.get("shout")
    assert isinstance(registry.get("shout"), Shout)


def test_an_unknown_type_is_a_config_error_that_names_it() -> None:
    with pytest.raises(NodeError, match="Configuration error: No executor for node type: nope"):
        NodeExecutorRegistry().get("nope")


@pytest.mark.parametrize("name", ["code", "start", "variable-assigner"])
def test_a_built_in_type_cannot_be_replaced(name: str) -> None:
    registry = NodeExecutorRegistry()
    with pytest.raises(MisuseError, match=f"'{name}' is a built-in node type"):
        registry.register(name, Shout())
    with pytest.raises(MisuseError, match=f"'{name}' is a built-in node type"):
        registry.register_lazy(name, Shout)


def test_plugins_bring_many_executors_at_once() -> None:
    registry = NodeExecutorRegistry()
    registry.register("a", Shout())
    ours, theirs = Shout(), Shout()
    registry.apply_plugin_executors({"a": ours, "b": theirs})
    assert (registry.get("a"), registry.get("b")) == (ours, theirs)


def test_of_a_plugin_with_a_forbidden_type_nothing_is_taken() -> None:
    registry = NodeExecutorRegistry()
    with pytest.raises(MisuseError, match="'code'"):
        registry.apply_plugin_executors({"a": Shout(), "code": Shout()})
    assert registry.foreign_types() == ()


def test_a_copy_has_the_same_executors_and_a_list_of_its_own() -> None:
    made, make = counting()
    registry, shout = NodeExecutorRegistry(), Shout()
    registry.register("shout", shout)
    registry.register_lazy("lazy", make)
    copy = registry.copy()
    copy.register("more", Shout())
    assert copy.get("shout") is shout
    assert copy.get("lazy") is made[0]
    assert registry.foreign_types() == ("lazy", "shout")


# ---- built-in types by the same protocol


async def test_a_built_in_inline_type_runs_by_the_protocol() -> None:
    executor = NodeExecutorRegistry().get("variable-aggregator")
    pool = VariablePool({"a": {"x": 1}})
    result = await executor.execute("n", {"variables": [["b", "y"], ["a", "x"]]}, pool, Context())
    assert result.outputs == {"output": 1}


async def test_a_built_in_working_type_gets_the_ports_of_the_context() -> None:
    sandbox = FakeSandbox({"n": 2})
    executor = NodeExecutorRegistry().get("code")
    config: dict[str, Any] = {
        "title": "C",
        "code": "function main() { return { n: 2 } }",
        "language": "javascript",
        "variables": [],
    }
    result = await executor.execute("n", config, VariablePool(), Context(ports(sandbox)))
    assert result.outputs == {"n": 2}
    assert sandbox.returned == ["js"]


async def test_a_config_that_a_built_in_type_refuses_is_a_config_error() -> None:
    executor = NodeExecutorRegistry().get("code")
    assert isinstance(executor, BuiltInExecutor)
    with pytest.raises(NodeError, match="Configuration error: "):
        await executor.execute("n", {"code": 7}, VariablePool(), Context())

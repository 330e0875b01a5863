"""How node types are found."""

from __future__ import annotations

from typing import ClassVar

import pytest

from xworkflow.domain.results import NodeRunResult
from xworkflow.errors import MisuseError, NodeError
from xworkflow.nodes.base import InlineNode, Node, NodeData, NodeType, Values
from xworkflow.nodes.registry import NodeRegistry, node_type
from xworkflow.nodes.unsupported import UNSUPPORTED, missing_provider


class Echo(InlineNode[NodeData]):
    type: ClassVar[str] = "echo"
    data_model = NodeData

    def run(self, node: Node[NodeData], values: Values) -> NodeRunResult:
        del node, values
        return NodeRunResult()


BUILT_IN = {
    "start", "end", "answer", "if-else", "template-transform", "variable-aggregator",
    "variable-assigner", "assigner", "code", "http-request", "llm", "list-operator", "iteration",
    "loop", "human-input", "gather", "question-classifier",
}  # fmt: skip
MARKS = {"iteration-start", "loop-start", "loop-end"}


def test_all_built_in_types_are_found() -> None:
    types = NodeRegistry.builtin()
    assert types.names() == BUILT_IN
    assert types.names(in_body=True) == BUILT_IN | MARKS | {"template"}
    assert [found.type for found in types.all()] == sorted(BUILT_IN - {"variable-assigner"} | MARKS)


def test_the_built_in_registry_is_made_once() -> None:
    assert NodeRegistry.builtin() is NodeRegistry.builtin()


def test_an_alias_leads_to_its_type() -> None:
    types = NodeRegistry.builtin()
    assert types.get("variable-assigner") is types.get("variable-aggregator")


def test_the_old_name_of_templates_is_legal_in_bodies_only() -> None:
    types = NodeRegistry.builtin()
    assert types.find("template") is types.get("template-transform")
    assert "template" not in types.names()


def test_a_name_that_is_not_there_is_a_config_error() -> None:
    with pytest.raises(NodeError, match="Configuration error: No executor for node type: nope"):
        NodeRegistry.builtin().get("nope")


def test_more_types_make_another_registry() -> None:
    types = NodeRegistry.builtin()
    more = types.including(Echo())
    assert isinstance(more.get("echo"), Echo)
    assert types.find("echo") is None


def test_an_added_type_replaces_the_one_of_its_name() -> None:
    class MyEnd(Echo):
        type: ClassVar[str] = "end"

    assert isinstance(NodeRegistry.builtin().including(MyEnd()).get("end"), MyEnd)


def test_two_types_cannot_claim_one_name() -> None:
    class Thief(Echo):
        aliases = ("end",)

    with pytest.raises(MisuseError, match="'end'"):
        NodeRegistry.builtin().including(Thief())


def test_a_second_declaration_of_a_name_is_refused() -> None:
    class End(Echo):
        type: ClassVar[str] = "end"

    with pytest.raises(MisuseError, match="declared by End already"):
        node_type(End)


def test_a_type_that_does_no_work_is_refused() -> None:
    class Idle(NodeType[NodeData]):
        type: ClassVar[str] = "idle"

    with pytest.raises(MisuseError, match="Idle"):
        node_type(Idle)


def test_no_type_is_both_supported_and_not() -> None:
    assert not NodeRegistry.builtin().names() & set(UNSUPPORTED)


@pytest.mark.parametrize(
    ("name", "known"),
    [("agent", True), ("plugin.mine", True), ("plugin.", False), ("nope", False), ("", False)],
)
def test_known_names_say_what_would_provide_them(name: str, known: bool) -> None:
    assert (missing_provider(name) is not None) == known

"""``iteration-start``, ``loop-start``, ``loop-end``: marks in the body of an iteration or loop."""

from __future__ import annotations

from typing import ClassVar

from xworkflow.domain.repeats import LOOP_ENDED
from xworkflow.domain.results import NodeRunResult, PoolWrite
from xworkflow.nodes.base import InlineNode, Node, NodeData, Values
from xworkflow.nodes.registry import node_type


class _Mark(InlineNode[NodeData]):
    data_model = NodeData
    in_bodies_only: ClassVar[bool] = True

    def run(self, node: Node[NodeData], values: Values) -> NodeRunResult:
        del node, values
        return NodeRunResult()


@node_type
class IterationStart(_Mark):
    """Where the body of a Dify iteration begins. It has no outputs and no events."""

    type: ClassVar[str] = "iteration-start"
    silent = True


@node_type
class LoopStart(_Mark):
    """Where the body of a Dify loop begins. It has no outputs and no events."""

    type: ClassVar[str] = "loop-start"
    silent = True


@node_type
class LoopEnd(_Mark):
    """Ends the loop around it: the round in which it is reached is the last one."""

    type: ClassVar[str] = "loop-end"

    def run(self, node: Node[NodeData], values: Values) -> NodeRunResult:
        del node, values
        return NodeRunResult(writes=(PoolWrite(selector=LOOP_ENDED, value=True),))

"""Chains of nodes for the benchmarks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from xworkflow.domain.schema import EdgeSpec, NodeSpec, WorkflowSchema


def node(id_: str, type_: str, **data: Any) -> NodeSpec:
    return NodeSpec(id=id_, type=type_, title=id_, data={"type": type_, "title": id_, **data})


def start(*variables: str) -> NodeSpec:
    return node("start", "start", variables=[{"variable": name} for name in variables])


def http(id_: str, url: str) -> NodeSpec:
    return node(id_, "http-request", method="GET", url=url)


def code(id_: str, of: str = "start.n") -> NodeSpec:
    """Adds one to a number."""
    script = "function main({ n }) { return { n: n + 1 } }"
    return node(id_, "code", language="javascript", code=script, variables=[_bound("n", of)])


def text(id_: str, template: str, of: str) -> NodeSpec:
    """A template over ``v``, which is bound to ``of``."""
    return node(id_, "template-transform", template=template, variables=[_bound("v", of)])


def end(**outputs: str) -> NodeSpec:
    return node("end", "end", outputs=[_bound(name, of) for name, of in outputs.items()])


def chain(name: str, *nodes: NodeSpec) -> WorkflowSchema:
    """Nodes one after another."""
    edges = tuple(
        EdgeSpec(id=f"e{index}", source=a.id, target=b.id)
        for index, (a, b) in enumerate(pairwise(nodes))
    )
    return WorkflowSchema(name=name, nodes=nodes, edges=edges)


def _bound(name: str, of: str) -> dict[str, Any]:
    return {"variable": name, "value_selector": of.split(".")}

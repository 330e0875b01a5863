"""Small graphs, drawn in a line or two. Names follow the node types."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from xworkflow.domain.loading.policies import OWN_TIMEOUT
from xworkflow.domain.schema import (
    EdgeSpec,
    ErrorHandler,
    ErrorStrategy,
    NodeSpec,
    RetryConfig,
    SubGraph,
    WorkflowSchema,
)

PLUS_ONE = "function main({ n }) { return { n: n + 1 } }"
SPIN = (
    "function main({ n }) {"
    " const end = Date.now() + 1300; while (Date.now() < end) {} return { n } }"
)
SPIN_FOR_EVER = "function main() { while (true) {} }"


def node(  # noqa: PLR0913 - the parts of a node, each with its default
    id_: str,
    type_: str,
    *,
    title: str | None = None,
    retry: RetryConfig | None = None,
    strategy: ErrorStrategy | None = None,
    timeout_secs: float | None = None,
    **data: Any,
) -> NodeSpec:
    """A node; its data get the type and the title as a loaded file has them.

    ``timeout_secs`` is the type's own where it has one, and a limit of its attempts elsewhere.
    """
    shown = id_.title() if title is None else title
    if type_ in OWN_TIMEOUT and timeout_secs is not None:
        data, timeout_secs = {**data, "timeout_secs": timeout_secs}, None
    return NodeSpec(
        id=id_,
        type=type_,
        title=shown,
        data={"type": type_, "title": shown, **data},
        retry_config=retry,
        error_strategy=strategy,
        timeout_secs=timeout_secs,
    )


def start(*variables: str) -> NodeSpec:
    """The start node ``start`` with plain inputs."""
    return node("start", "start", variables=[{"variable": name} for name in variables])


def code(id_: str, of: str = "start.n", *, script: str = PLUS_ONE, **parts: Any) -> NodeSpec:
    """JavaScript that gets ``n`` and gives ``n``."""
    return node(id_, "code", code=script, variables=[_bound("n", of)], **parts)


def text(id_: str, template: str, of: str | None = None, **parts: Any) -> NodeSpec:
    """A template over ``v``, which is bound to ``of``."""
    variables = [] if of is None else [_bound("v", of)]
    return node(id_, "template-transform", template=template, variables=variables, **parts)


def http(id_: str, url: str, **parts: Any) -> NodeSpec:
    """A GET request."""
    data: dict[str, Any] = {"method": "GET", "url": url, **parts}
    return node(id_, "http-request", **data)


def choice(id_: str, of: str, equals: str, case: str = "yes") -> NodeSpec:
    """An if-else with one case (and ``false``)."""
    condition = {"variable_selector": of.split("."), "comparison_operator": "is", "value": equals}
    cases = [{"case_id": case, "logical_operator": "and", "conditions": [condition]}]
    return node(id_, "if-else", cases=cases)


def body(*nodes: NodeSpec, drawn: Sequence[str] = ()) -> dict[str, Any]:
    """A body as a file has it: nodes one after another, or as the edges say."""
    lines = edges(*drawn) if drawn else chained(nodes)
    graph = SubGraph(nodes=tuple(nodes), edges=lines)
    return graph.model_dump(mode="json", exclude_defaults=True)


def begin(id_: str) -> NodeSpec:
    """The start node of a body."""
    return node(id_, "start", variables=[])


def finish(id_: str, **outputs: str) -> NodeSpec:
    """The end node of a body."""
    return node(id_, "end", outputs=[_bound(name, of) for name, of in outputs.items()])


def iteration(id_: str, of: str, inner: dict[str, Any], **parts: Any) -> NodeSpec:
    """An iteration that outputs ``out``."""
    source = of.split(".")
    data: dict[str, Any] = {"sub_graph": inner, "output_variable": "out", **parts}
    return node(id_, "iteration", input_selector=source, **data)


def loop(id_: str, below: int, inner: dict[str, Any], **parts: Any) -> NodeSpec:
    """A loop that outputs ``out``, and goes on while its variable ``n`` is below a number."""
    condition = {
        "variable_selector": ["loop", "n"],
        "comparison_operator": "less_than",
        "value": below,
    }
    data: dict[str, Any] = {"initial_vars": {"n": 0}, "max_iterations": 100, **parts}
    return node(id_, "loop", condition=condition, sub_graph=inner, output_variable="out", **data)


def listed(id_: str, operation: str, of: str, inner: dict[str, Any], **parts: Any) -> NodeSpec:
    """A list operator with a body, that outputs ``out``."""
    data: dict[str, Any] = {"sub_graph": inner, "output_variable": "out", **parts}
    return node(id_, "list-operator", operation=operation, input_selector=of.split("."), **data)


def form(id_: str, *fields: str, **parts: Any) -> NodeSpec:
    """A question to a person; each field is a required text."""
    drawn = [{"variable": name, "field_type": "text", "required": True} for name in fields]
    return node(id_, "human-input", form_fields=drawn, **parts)


def otherwise(**values: Any) -> dict[str, Any]:
    """What a question has for an answer when its time is over."""
    return {"timeout_action": "default_value", "timeout_default_values": values}


def approval(id_: str, **parts: Any) -> NodeSpec:
    return node(id_, "human-input", resume_mode="approval", **parts)


def gather(id_: str, join: dict[str, Any], *of: str, **parts: Any) -> NodeSpec:
    variables = [selector.split(".") for selector in of]
    return node(id_, "gather", variables=variables, join_mode=join, **parts)


def first_of(id_: str, *of: str) -> NodeSpec:
    return node(id_, "variable-aggregator", variables=[selector.split(".") for selector in of])


def end(**outputs: str) -> NodeSpec:
    """The end node ``end``; each output names what it shows."""
    return node("end", "end", outputs=[_bound(name, of) for name, of in outputs.items()])


def edges(*drawn: str) -> tuple[EdgeSpec, ...]:
    """Edges from texts: ``"a > b"``, or ``"a:handle > b"``."""
    found: list[EdgeSpec] = []
    for index, line in enumerate(drawn):
        source, target = line.split(" > ")
        source, _, handle = source.partition(":")
        found.append(
            EdgeSpec(id=f"e{index}", source=source, target=target, source_handle=handle or None)
        )
    return tuple(found)


def chained(nodes: Sequence[NodeSpec]) -> tuple[EdgeSpec, ...]:
    return edges(*(f"{a.id} > {b.id}" for a, b in pairwise(nodes)))


def chain(name: str, *nodes: NodeSpec, handler: ErrorHandler | None = None) -> WorkflowSchema:
    """Nodes one after another."""
    return WorkflowSchema(name=name, nodes=nodes, edges=chained(nodes), error_handler=handler)


def graph(name: str, nodes: Sequence[NodeSpec], *drawn: str) -> WorkflowSchema:
    return WorkflowSchema(name=name, nodes=tuple(nodes), edges=edges(*drawn))


def handler(mode: Any, *nodes: NodeSpec) -> ErrorHandler:
    """An error handler of nodes one after another."""
    return ErrorHandler(sub_graph=SubGraph(nodes=nodes, edges=chained(nodes)), mode=mode)


def retries(count: int, interval_ms: int, **more: Any) -> RetryConfig:
    return RetryConfig(max_retries=count, retry_interval=interval_ms, **more)


FAIL_BRANCH = ErrorStrategy(type="fail-branch")


def _bound(name: str, of: str) -> dict[str, Any]:
    return {"variable": name, "value_selector": of.split(".")}

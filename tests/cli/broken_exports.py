"""Exports of Dify with one thing broken, each in the way that its name says."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

Change = Callable[[dict[str, Any]], object]


def node(node_id: str, node_type: str, **data: Any) -> dict[str, Any]:
    drawn = {"type": node_type, "title": node_id, **data}
    return {"id": node_id, "type": "custom", "data": drawn, "position": {"x": 0, "y": 0}}


def edge(source: str, target: str, handle: str = "source") -> dict[str, Any]:
    ends = {"source": source, "target": target, "sourceHandle": handle}
    return {"id": f"{source}-{target}", **ends, "targetHandle": "target", "type": "custom"}


SOUND: dict[str, Any] = {
    "app": {"name": "Sound", "mode": "workflow"},
    "kind": "app",
    "version": "0.6.0",
    "workflow": {
        "environment_variables": [
            {"name": "LIMIT", "value": "5", "value_type": "number", "selector": ["env", "LIMIT"]}
        ],
        "conversation_variables": [],
        "features": {},
        "graph": {
            "nodes": [
                node("start", "start", variables=[{"variable": "q", "type": "text-input"}]),
                node(
                    "choose",
                    "if-else",
                    cases=[
                        {
                            "case_id": "yes",
                            "logical_operator": "and",
                            "conditions": [
                                {
                                    "variable_selector": ["start", "q"],
                                    "comparison_operator": "contains",
                                    "value": "a",
                                }
                            ],
                        }
                    ],
                ),
                node(
                    "code",
                    "code",
                    code_language="python3",
                    code="def main(x):\n    return {'r': x}",
                    variables=[{"variable": "x", "value_selector": ["start", "q"]}],
                    outputs={"r": {"type": "string"}},
                ),
                node(
                    "shape",
                    "template-transform",
                    template="{{ x }}",
                    variables=[{"variable": "x", "value_selector": ["code", "r"]}],
                ),
                node(
                    "get",
                    "http-request",
                    method="get",
                    url="https://example.org/{{#shape.output#}}",
                ),
                node(
                    "end", "end", outputs=[{"variable": "out", "value_selector": ["get", "body"]}]
                ),
                node("no", "end", outputs=[]),
            ],
            "edges": [
                edge("start", "choose"),
                edge("choose", "code", "yes"),
                edge("choose", "no", "false"),
                edge("code", "shape"),
                edge("shape", "get"),
                edge("get", "end"),
            ],
        },
    },
}


def text_of(change: Change) -> str:
    """The sound export with a change, as JSON (which every reader of YAML reads as well)."""
    root = copy.deepcopy(SOUND)
    change(root)
    return json.dumps(root, indent=1)


def graph(root: dict[str, Any]) -> dict[str, Any]:
    return root["workflow"]["graph"]


def data(root: dict[str, Any], node_id: str) -> dict[str, Any]:
    return next(n for n in graph(root)["nodes"] if n["id"] == node_id)["data"]


def put(where: Callable[[dict[str, Any]], Any], key: Any, value: Any) -> str:
    def change(root: dict[str, Any]) -> None:
        where(root)[key] = value

    return text_of(change)


def drop(where: Callable[[dict[str, Any]], Any], key: Any) -> str:
    return text_of(lambda root: where(root).pop(key))


def data_of(node_id: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda root: data(root, node_id)


def workflow(root: dict[str, Any]) -> dict[str, Any]:
    return root["workflow"]


def nodes(root: dict[str, Any]) -> Any:
    return graph(root)["nodes"]


def edges(root: dict[str, Any]) -> Any:
    return graph(root)["edges"]


def first_condition(root: dict[str, Any]) -> Any:
    return data(root, "choose")["cases"][0]["conditions"][0]


def with_node(drawn: Any) -> str:
    return text_of(lambda root: nodes(root).append(drawn))


def with_edge(drawn: Any) -> str:
    return text_of(lambda root: edges(root).append(drawn))


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{n}: &{n} [{', '.join([f'*{p}'] * 10)}]\n" for p, n in pairwise("abcdefghi")
)

WRONG_TYPES: dict[str, str] = {
    "root is a list": "- a\n- b\n",
    "root is a text": "just words",
    "app is a list": put(lambda r: r, "app", []),
    "workflow is a text": put(lambda r: r, "workflow", "x"),
    "graph is a number": put(workflow, "graph", 5),
    "nodes is an object": put(graph, "nodes", {}),
    "edges is a text": put(graph, "edges", "x"),
    "a node is a number": with_node(5),
    "node data is a list": put(lambda r: nodes(r)[2], "data", []),
    "node id is an object": put(lambda r: nodes(r)[2], "id", {}),
    "node type is a number": put(data_of("code"), "type", 7),
    "an edge is null": with_edge(None),
    "edge target is a list": put(lambda r: edges(r)[0], "target", ["choose"]),
    "cases is a text": put(data_of("choose"), "cases", "x"),
    "outputs of code are a list": put(data_of("code"), "outputs", ["r"]),
    "code is a number": put(data_of("code"), "code", 5),
    "template is an object": put(data_of("shape"), "template", {}),
    "url is a list": put(data_of("get"), "url", []),
    "a selector is a number": put(first_condition, "variable_selector", 5),
    "a selector has one part": put(first_condition, "variable_selector", ["start"]),
    "retries are a text": put(
        data_of("get"), "retry_config", {"retry_enabled": True, "max_retries": "many"}
    ),
    "environment is an object": put(workflow, "environment_variables", {}),
    "an environment number is a word": put(
        lambda r: workflow(r)["environment_variables"][0], "value", "five"
    ),
}
MISSING: dict[str, str] = {
    "no graph": drop(workflow, "graph"),
    "no nodes": drop(graph, "nodes"),
    "no edges": drop(graph, "edges"),
    "a node without an id": drop(lambda r: nodes(r)[2], "id"),
    "a node without data": drop(lambda r: nodes(r)[2], "data"),
    "a node without a type": drop(data_of("code"), "type"),
    "an edge without a source": drop(lambda r: edges(r)[1], "source"),
    "a condition without an operator": drop(first_condition, "comparison_operator"),
    "code without code": drop(data_of("code"), "code"),
    "a request without a url": drop(data_of("get"), "url"),
    "no start": text_of(lambda r: nodes(r).pop(0)),
    "no end": text_of(
        lambda r: graph(r).update(nodes=nodes(r)[:5], edges=edges(r)[:2] + edges(r)[3:5])
    ),
}
GRAPHS: dict[str, str] = {
    "a cycle": with_edge(edge("get", "code")),
    "an edge to itself": with_edge(edge("code", "code")),
    "two nodes of one id": with_node(node("code", "code")),
    "two edges of one id": with_edge(edge("start", "choose")),
    "two starts": with_node(node("start2", "start")),
    "an edge from nowhere": with_edge(edge("ghost", "end")),
    "an edge of no case": with_edge(edge("choose", "end", "maybe")),
    "a branch without an edge": text_of(lambda r: edges(r).pop(1)),
    "a node that nothing reaches": with_node(
        node("lonely", "code", code_language="python3", code="x", outputs={}, variables=[])
    ),
    "a selector of a later node": put(
        lambda r: data(r, "code")["variables"][0], "value_selector", ["get", "body"]
    ),
    "a selector of no node": put(
        lambda r: data(r, "code")["variables"][0], "value_selector", ["ghost", "x"]
    ),
    "two cases of one id": text_of(
        lambda r: data(r, "choose")["cases"].append(data(r, "choose")["cases"][0])
    ),
}
NONSENSE: dict[str, str] = {
    "an unknown type": put(data_of("code"), "type", "teleport"),
    "a type that is not there yet": put(data_of("code"), "type", "trigger-plugin"),
    "an unknown operator": put(first_condition, "comparison_operator", "resembles"),
    "an unknown language": put(data_of("code"), "code_language", "cobol"),
    "a template that does not end": put(data_of("shape"), "template", "{% if x %}"),
    "an unknown method": put(data_of("get"), "method", "brew"),
    "a blank id": put(lambda r: nodes(r)[2], "id", " "),
    "a version that is no version": put(lambda r: r, "version", "new"),
    "a version to come": put(lambda r: r, "version", "9.0.0"),
    "a start field of no type": put(lambda r: data(r, "start")["variables"][0], "type", "hologram"),
}
HOSTILE: dict[str, str | bytes] = {
    "empty": "",
    "not text": b"\xff\xfe\x00\x01",
    "half an object": '{"app": {',
    "a tab for a space": "app:\n\tname: x\n",
    "a key that stands twice": "kind: app\nkind: app\n",
    "two documents": "a: 1\n---\nb: 2\n",
    "an alias to nothing": "a: *b\n",
    "a merge key": "a: &a {b: 1}\nc:\n  <<: *a\n",
    "a python object": "a: !!python/object/apply:os.system ['true']\n",
    "a key that is a list": "? [a]\n: b\n",
    "a list in itself": "a: &a [*a]\n",
    "a billion laughs": BOMB,
    "very deep": "[" * 5_000,
    "very deep and closed": put(data_of("code"), "x", json.loads("[" * 500 + "]" * 500)),
    "very deep yaml": "".join(f"{' ' * n}a:\n" for n in range(300)),
    "too large": "a: " + "x" * (10 * 1024 * 1024),
    "very many values": "a: [" + "1," * 600_000 + "]",
    "half a surrogate pair": '{"a": "\\ud800"}',
    "a null byte": "a: \x00\n",
}
ALL: dict[str, str | bytes] = {**WRONG_TYPES, **MISSING, **GRAPHS, **NONSENSE, **HOSTILE}

"""The oracle of nested graphs: spec/graph.md 5.3, 6.2 and 7, without a scheduler.

Where a body fails in a way that nobody tolerates, what ran beside it depends on the order; then
``exact`` is false, and only what must hold in every order is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from tests.properties.nested_graphs import (
    DEFAULT,
    SCOPE,
    SIZE,
    Ask,
    Choice,
    Container,
    First,
    Inner,
    Meeting,
    Nest,
    Selector,
    Work,
    fails_for_good,
    number,
)

Pool = dict[str, dict[str, Any]]


@dataclass
class End:
    """How a graph ended. ``fatal`` are the nodes each of which may be what it failed with."""

    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    fatal: set[str] = field(default_factory=set[str])
    exceptions: int = 0
    exact: bool = True
    ran: set[str] = field(default_factory=set[str])
    pool: Pool = field(default_factory=dict[str, dict[str, Any]])
    bodies: int = 0
    """How many bodies ran, nested ones included; 0 where that depends on the order."""


@dataclass
class _Settled:
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    handle: str | None = None
    failed: bool = False


def interpret(nest: Nest, inputs: Mapping[str, Any]) -> End:
    """Run a whole graph."""
    return _run(nest, {nest.start: dict(inputs)})


def _run(nest: Nest, seen: Pool) -> End:
    end = End(pool={name: dict(space) for name, space in seen.items()})
    taken: dict[tuple[str, str, str], str] = {}
    settled: dict[str, _Settled] = {}
    _resolve(nest, nest.start, "ran", None, taken)
    for inner in nest.nodes:
        fate = _fate(nest, inner.id, taken)
        if fate == "ran":
            done = settled[inner.id] = _settle(inner, end)
            end.ran.add(inner.id)
            if done.failed:
                end.fatal.add(inner.id)
                fate = "pending"
            elif done.outputs:
                end.pool[inner.id] = done.outputs
        handle = settled[inner.id].handle if inner.id in settled else None
        _resolve(nest, inner.id, fate, handle, taken)
    if _fate(nest, nest.end, taken) == "ran":
        end.ran.add(nest.end)
        end.outputs = {name: _read(end.pool, of) for name, of in nest.outputs}
    if end.fatal:
        end.exact = False
    return end


def _fate(nest: Nest, id_: str, taken: Mapping[tuple[str, str, str], str]) -> str:
    """5.3: ready when every in-edge is resolved and at least one is taken."""
    into = [taken[edge] for edge in nest.edges if edge[2] == id_]
    if "pending" in into:
        return "pending"
    return "ran" if "taken" in into else "skipped"


def _resolve(
    nest: Nest,
    id_: str,
    fate: str,
    handle: str | None,
    taken: dict[tuple[str, str, str], str],
) -> None:
    out = [edge for edge in nest.edges if edge[0] == id_]
    branches = any(edge[1] != "source" for edge in out)
    for edge in out:
        if fate == "ran":
            chosen = not branches or edge[1] == (handle or "source")
            taken[edge] = "taken" if chosen else "skipped"
        else:
            taken[edge] = fate


def _read(pool: Pool, selector: Selector) -> Any:
    return pool.get(selector[0], {}).get(selector[1])


def _settle(inner: Inner, end: End) -> _Settled:
    values = [_read(end.pool, of) for of in getattr(inner, "reads", ())]
    match inner:
        case First():
            return _Settled({"output": next((v for v in values if v is not None), None)})
        case Choice(digits=digits):
            yes = any(_shown(values[0]).endswith(digit) for digit in digits)
            chosen = "yes" if yes else "false"
            return _Settled({"selected_case": chosen}, chosen)
        case Ask():
            return _Settled(dict(inner.answer))
        case Meeting():
            found = [value for value in values if value is not None]
            first = {"first_result": found[0]} if found else {}
            return _Settled({"results": found, "completed_count": len(found), **first})
        case Work():
            return _work(inner, values, end)
        case Container():
            return _container(inner, end)


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


def _work(work: Work, values: list[Any], end: End) -> _Settled:
    result = number(work, values)
    failed = fails_for_good(work, result) or work.flaky > work.retries
    if failed:
        return _tolerated(work, {work.output[1]: DEFAULT}, end)
    if work.away:
        return _Settled({"body": str(result)})
    return _Settled({"result": result, "odd": result % 2 == 1})


def _tolerated(inner: Work | Container, default: dict[str, Any], end: End) -> _Settled:
    if inner.strategy == "none":
        return _Settled(failed=True)
    end.exceptions += 1
    if inner.strategy == "default-value":
        return _Settled(default)
    return _Settled({}, "fail-branch")


def _container(container: Container, end: End) -> _Settled:
    outputs: dict[str, Any] | None = None
    for _ in range(container.retries + 1):
        outputs = _repeated(container, end)
        if outputs is not None:
            return _Settled(outputs)
    return _tolerated(container, {"out": DEFAULT}, end)


def _repeated(container: Container, end: End) -> dict[str, Any] | None:
    """The outputs of a container; None where it fails."""
    if container.kind == "loop":
        return _looped(container, end)
    source = _read(end.pool, container.source)
    if not isinstance(source, list):
        return None
    items = cast("list[Any]", source)
    if container.kind == "reduce":
        carry: Any = 1
        for index, item in enumerate(items):
            scope = {"item": item, "index": index, "accumulator": carry}
            body = _body(container, end, {SCOPE: scope})
            if body.fatal:
                return None
            carry = _value(body.outputs)
        return {"out": carry}
    bodies = [
        _body(container, end, {SCOPE: {"item": item, "index": index}})
        for index, item in enumerate(items)
    ]
    tolerant = container.kind == "iteration" and container.mode != "terminated"
    if any(body.fatal for body in bodies) and not tolerant:
        return None
    match container.kind:
        case "iteration":
            results = [
                None if body.fatal else body.outputs
                for body in bodies
                if not (body.fatal and container.mode == "remove_abnormal")
            ]
        case "filter":
            pairs = zip(items, bodies, strict=True)
            results = [item for item, body in pairs if body.outputs.get("keep") is True]
        case _:
            results = [_value(body.outputs) for body in bodies]
    return {"out": results}


def _looped(container: Container, end: End) -> dict[str, Any] | None:
    variables: dict[str, Any] = {"n": 0}
    rounds = 0
    while True:
        if rounds >= container.limit:
            return None
        n = variables["n"]
        if not isinstance(n, int) or isinstance(n, bool) or not n < SIZE * 2 // 3:
            return {"out": variables, "_iterations": rounds}
        body = _body(container, end, {"loop": variables, SCOPE: {"_iteration": rounds}})
        if body.fatal:
            return None
        variables = {**variables, **body.outputs}
        rounds += 1


def _value(outputs: Mapping[str, Any]) -> Any:
    return outputs["value"] if "value" in outputs else dict(outputs)


def _body(container: Container, outer: End, scope: Pool) -> End:
    pool = {name: dict(space) for name, space in outer.pool.items()}
    for name, space in scope.items():
        pool[name] = {**pool.get(name, {}), **space}
    body = _run(container.body, pool)
    outer.exceptions += body.exceptions
    outer.bodies += 1 + body.bodies
    outer.exact = outer.exact and body.exact
    return body

"""What holds for the event log of every run that is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from xworkflow.domain.events import GraphEngineEvent

_ENDS: Final = frozenset({"node_run_succeeded", "node_run_failed", "node_run_exception"})
_REPEAT_ENDS: Final = frozenset({"succeeded", "failed"})


def faults(events: Iterable[GraphEngineEvent]) -> list[str]:
    """What is wrong with a log; nothing, if all is well."""
    log = tuple(events)
    return [*_lives(log), *_places(log), *_repeats(log), *_times(log)]


def streamed(events: Iterable[GraphEngineEvent]) -> str:
    """All text that came in pieces."""
    return "".join(e.data["chunk"] for e in events if e.type == "node_run_stream_chunk")


def _lives(log: tuple[GraphEngineEvent, ...]) -> Iterable[str]:
    """Every node that started ends once, after it started."""
    started: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    for event in log:
        if event.type == "node_run_started":
            started[event.data["id"]] += 1
        elif event.type in _ENDS:
            if not started[event.data["id"]]:
                yield f"{event.data['node_id']} ended before it started"
            ended[event.data["id"]] += 1
    yield from (f"{name} started {n} times" for name, n in started.items() if n != 1)
    yield from (f"{name} ended {ended[name]} times" for name in started if ended[name] != 1)


def _places(log: tuple[GraphEngineEvent, ...]) -> Iterable[str]:
    """What happens in a body says so: the container, the index, and the whole path."""
    for event in log:
        families = [f for f in ("iteration", "loop") if f"{f}_id" in event.data]
        path: list[list[Any]] = event.data.get("path", [])
        if len(families) > 1:
            yield f"{event.type} lies in two containers"
        elif families and not event.type.startswith(("iteration_", "loop_")):
            (family,) = families
            last = [event.data[f"{family}_id"], event.data[f"{family}_index"]]
            if not path or path[-1] != last:
                yield f"{event.type} of {last} has the path {path}"


def _repeats(log: tuple[GraphEngineEvent, ...]) -> Iterable[str]:
    """A container starts, goes from item to item, and ends; its body's events lie between."""
    open_: dict[str, list[int]] = {}
    for event in log:
        family, _, what = event.type.partition("_")
        outer: list[list[Any]] = event.data.get("path", [])
        if family in ("iteration", "loop"):
            name = f"{outer}{event.data['node_id']}"
            if what == "started":
                open_[name] = [] if family == "iteration" else [0]
            elif name not in open_:
                yield f"{event.type} of {name}, which is not open"
            elif what == "next":
                open_[name].append(event.data["index"])
            elif what in _REPEAT_ENDS:
                seen = open_.pop(name)
                if sorted(seen) != list(range(len(seen))):
                    yield f"{name} went through {seen}"
        elif outer:
            *around, (container, index) = outer
            name = f"{around}{container}"
            if index not in open_.get(name, ()):
                yield f"{event.type} of {event.data.get('node_id')} outside of {name}, {index}"
    yield from (f"{name} never ended" for name in open_)


def _times(log: tuple[GraphEngineEvent, ...]) -> Iterable[str]:
    if log and log[0].type != "graph_run_started":
        yield f"the log begins with {log[0].type}"
    if log and not log[-1].type.startswith("graph_run_"):
        yield f"the log ends with {log[-1].type}"
    cursors = [event.cursor for event in log]
    if len(set(cursors)) != len(cursors):
        yield "two events have one cursor"

"""What queries tell of a run: plain data, made from its state when it is asked for."""

from __future__ import annotations

from typing import Any, Final

from xworkflow.domain.state import NodePhase
from xworkflow.domain.values import compact_json
from xworkflow.domain.wire import DebugReport, EventsPage, RunSnapshot
from xworkflow.workflows import details
from xworkflow.workflows.shell import Shell

_MAX_EVENTS: Final = 1000
_MAX_BYTES: Final = 1_000_000
"""Temporal refuses answers of more than 2 MB."""


def snapshot(shell: Shell) -> RunSnapshot:
    """Where a run stands. A sub-graph's nodes are named ``item/node``."""
    carrier, driver = shell.carrier, shell.driver
    nodes = {
        node.id if driver is not None else f"{lane}/{node.id}": details.NAMES[
            NodePhase(of.state.nodes[node.index])
        ]
        for lane, of in carrier.lanes.items()
        for node in of.plan.nodes
    }
    states = [of.state for of in carrier.lanes.values()]
    failure = driver.state.failure if driver is not None else None
    return RunSnapshot(
        phase=driver.state.phase if driver is not None else "running",
        steps=sum(state.steps for state in states),
        exceptions=sum(state.exceptions for state in states),
        elapsed_ms=max((state.elapsed_ms for state in states), default=0),
        nodes=nodes,
        error=None if failure is None else failure.text,
        status=_status(shell),
        waiting=shell.waiting(),
    )


def events_page(shell: Shell, after: int, limit: int) -> EventsPage:
    """The events after a number: at most so many, and so many bytes that an answer may have."""
    log = shell.log
    first = log[0].seq if log else shell.carrier.events
    told: list[dict[str, Any]] = []
    size = 0
    place = max(0, after + 1 - first)
    for event in log[place : place + max(1, min(limit, _MAX_EVENTS))]:
        shown = event.to_json()
        size += len(compact_json(shown))
        if told and size > _MAX_BYTES:
            break
        told.append(shown)
    end = place + len(told)
    following = None if end >= len(log) else log[end].seq
    return EventsPage(events=tuple(told), first=first, next=following, over=shell.is_over)


def _status(shell: Shell) -> str:
    states = [driver.state for driver in shell.carrier.lanes.values()]
    if shell.is_over:
        return "finished"
    if any(state.debug is not None and state.debug.pause is not None for state in states):
        return "debug_paused"
    if any(state.stopping for state in states):
        return "safe_stopping"
    if any(state.paused for state in states):
        return "paused"
    return "waiting_for_input" if shell.waiting() else "running"


def debug_report(shell: Shell) -> DebugReport:
    """Where the debugger of a run stands."""
    driver = shell.driver
    debug = None if driver is None else driver.state.debug
    if driver is None or debug is None:
        return DebugReport(finished=shell.is_over)
    pause = debug.pause
    node = None if pause is None else driver.plan.nodes[pause.node]
    return DebugReport(
        paused=pause is not None,
        finished=shell.is_over,
        node_id=None if node is None else node.id,
        node_type=None if node is None else node.type,
        phase=None if pause is None else pause.phase,
        reason=None if pause is None else pause.reason,
        breakpoints=debug.breakpoints,
        steps=driver.state.steps,
        pauses=debug.pauses,
    )

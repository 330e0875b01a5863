"""``debug.toml`` of a case: what a debugger's user does, pause by pause (spec/graph.md 10.1)."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from xworkflow.client.handle import WorkflowHandle
from xworkflow.domain.debugging import DebugAction, DebugCommand, DebugConfig
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.values import JsonValue
from xworkflow.errors import InputError

PAUSE_SECS: Final = 10.0
"""How long the next pause, or the end, may take to come."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class DebugStep(_Table):
    """One pause: what is expected of it, and what is said then. ``variables`` by ``node.var``."""

    action: Literal[DebugAction, "inspect"] = "continue"
    expect_node: str | None = None
    expect_reason: Literal["breakpoint", "step", "initial", "user_requested"] | None = None
    expect_phase: Literal["before", "after"] | None = None
    abort_reason: str | None = None
    variables: dict[str, JsonValue] = Field(default_factory=dict)
    add_breakpoint: str | None = None
    remove_breakpoint: str | None = None
    expect_snapshot: dict[str, JsonValue] | None = None
    expect_snapshot_contains: dict[str, JsonValue] | None = None


class DebugScript(_Table):
    """The configuration that the run starts with, and the steps."""

    config: DebugConfig = DebugConfig()
    steps: tuple[DebugStep, ...] = ()


async def play(script: DebugScript, handle: WorkflowHandle) -> list[str]:
    """Follow the run from pause to pause. Returns a sentence for each thing that was not so."""
    pauses = handle.events()
    problems: list[str] = []
    for number, step in enumerate(script.steps, 1):
        try:
            pause = await asyncio.wait_for(_next_pause(pauses), PAUSE_SECS)
        except TimeoutError:
            return [*problems, f"step {number}: there was no pause within {PAUSE_SECS:g} s"]
        if pause is None:
            return [*problems, f"step {number}: the run ended before it"]
        problems += [f"step {number}: {problem}" for problem in _differences(step, pause)]
        try:
            problems += [f"step {number}: {p}" for p in await _act(step, handle)]
        except InputError as error:
            problems.append(f"step {number}: {error}")
    return problems


async def _next_pause(events: Any) -> GraphEngineEvent | None:  # noqa: ANN401 - an async iterator
    async for event in events:
        if event.type == "debug_paused":
            return event
    return None


def _differences(step: DebugStep, pause: GraphEngineEvent) -> list[str]:
    expected = {
        "node_id": step.expect_node,
        "reason": step.expect_reason,
        "phase": step.expect_phase,
    }
    return [
        f"expected {name} {wanted!r}, got {pause.data[name]!r}"
        for name, wanted in expected.items()
        if wanted is not None and pause.data[name] != wanted
    ]


async def _act(step: DebugStep, handle: WorkflowHandle) -> list[str]:
    for action, node_id in (
        ("add_breakpoint", step.add_breakpoint),
        ("remove_breakpoint", step.remove_breakpoint),
    ):
        if node_id is not None:
            command = DebugCommand.model_validate({"action": action, "node_id": node_id})
            await handle.debug_command(command)
    problems = await _snapshot_differences(step, handle)
    if step.action != "inspect":
        await handle.debug_command(
            DebugCommand(
                action=step.action, reason=step.abort_reason, variables=dict(step.variables)
            )
        )
    return problems


async def _snapshot_differences(step: DebugStep, handle: WorkflowHandle) -> list[str]:
    """Compares values by ``node.variable`` (or ``node:variable``)."""
    wanted = {**(step.expect_snapshot or {}), **(step.expect_snapshot_contains or {})}
    if not wanted:
        return []
    pool = await handle.variables()
    found = {name: pool.get(node, {}).get(rest) for name, node, rest in map(_named, wanted)}
    return [
        f"expected the variable {name} to be {value!r}, got {found[name]!r}"
        for name, value in wanted.items()
        if found[name] != value
    ]


def _named(name: str) -> tuple[str, str, str]:
    node, _, variable = name.replace(":", ".", 1).partition(".")
    return name, node, variable

"""The debugger's data: where a run stops by itself, and what its user may say (spec/graph.md 9.1).

How it moves a run stands in ``domain/breakpoints.py``.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

DebugMode = Literal["initial", "run", "step"]
DebugPhase = Literal["before", "after"]
DebugReason = Literal["breakpoint", "step", "initial"]
DebugAction = Literal[
    "step",
    "step_over",
    "continue",
    "abort",
    "add_breakpoint",
    "remove_breakpoint",
    "clear_breakpoints",
    "update_variables",
]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class DebugConfig(_Data):
    """How a run is debugged from its start. Breakpoints are node ids."""

    breakpoints: tuple[str, ...] = ()
    break_on_start: bool = False


class DebugCommand(_Data):
    """One thing that the debugger's user says; ``variables`` are keyed ``node.variable``."""

    action: DebugAction
    node_id: str | None = None
    reason: str | None = None
    variables: dict[str, Any] = Field(default_factory=dict)


class DebugPause(_Data):
    """Where a debugged run stands."""

    node: int
    phase: DebugPhase
    reason: DebugReason


class DebugState(_Data):
    """The debugger of a run. ``passed`` is the node whose pause is over, so that it may start; it
    runs alone until it has ended."""

    breakpoints: tuple[str, ...] = ()
    mode: DebugMode = "run"
    pause: DebugPause | None = None
    passed: int | None = None
    pauses: int = 0

    @classmethod
    def of(cls, config: DebugConfig) -> DebugState:
        mode: DebugMode = "initial" if config.break_on_start else "run"
        return cls(breakpoints=config.breakpoints, mode=mode)

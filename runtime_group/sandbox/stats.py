"""What a sandbox pool has done so far."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LanguageStats:
    """Counters of one language's processes.

    ``idle`` is how many wait for work now; the others only grow. ``evicted`` ended because they
    were idle for long, much used or grown, ``killed`` because a script broke them or they died.
    ``waited_secs`` is what callers waited for a process in all, ``ran_secs`` what calls took.
    ``lockdown`` names what the last process that started could give up; it depends on the platform.
    """

    idle: int = 0
    created: int = 0
    reused: int = 0
    evicted: int = 0
    killed: int = 0
    waited_secs: float = 0.0
    ran_secs: float = 0.0
    lockdown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxStats:
    """Counters of a whole pool (spec/runtime.md 2.7)."""

    javascript: LanguageStats = field(default_factory=LanguageStats)
    python: LanguageStats = field(default_factory=LanguageStats)
    cpython: LanguageStats = field(default_factory=LanguageStats)
    wasm: LanguageStats = field(default_factory=LanguageStats)
    wasm_compiler: LanguageStats = field(default_factory=LanguageStats)
    template: LanguageStats = field(default_factory=LanguageStats)

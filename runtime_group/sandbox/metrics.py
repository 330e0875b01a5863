"""What a pool tells OpenTelemetry: nothing is measured or kept unless a meter provider is set."""

from __future__ import annotations

from typing import Final, Literal

from opentelemetry import metrics

EndReason = Literal["killed", "evicted", "closed"]

_METER: Final = metrics.get_meter("xworkflow.sandbox")
_WAIT: Final = _METER.create_histogram(
    "xworkflow.sandbox.wait", unit="s", description="Time until a caller got a process"
)
_RUN: Final = _METER.create_histogram(
    "xworkflow.sandbox.run", unit="s", description="Time that one script took in its process"
)
_LENT: Final = _METER.create_counter(
    "xworkflow.sandbox.lent", description="Processes lent; origin is created or reused"
)
_ENDED: Final = _METER.create_counter(
    "xworkflow.sandbox.ended", description="Processes ended; reason is killed, evicted or closed"
)
_PROCESSES: Final = _METER.create_up_down_counter(
    "xworkflow.sandbox.processes", description="Processes that live now"
)


def lent(language: str, waited_secs: float, *, is_new: bool) -> None:
    _WAIT.record(waited_secs, {"language": language})
    _LENT.add(1, {"language": language, "origin": "created" if is_new else "reused"})


def ran(language: str, secs: float) -> None:
    _RUN.record(secs, {"language": language})


def started(language: str) -> None:
    _PROCESSES.add(1, {"language": language})


def ended(language: str, reason: EndReason) -> None:
    _ENDED.add(1, {"language": language, "reason": reason})
    _PROCESSES.add(-1, {"language": language})

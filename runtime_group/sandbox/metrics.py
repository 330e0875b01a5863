"""What a pool tells OpenTelemetry: nothing is measured or kept unless a meter provider is set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, UpDownCounter

EndReason = Literal["killed", "evicted", "closed"]


@dataclass(frozen=True, slots=True)
class _Instruments:
    wait: Histogram
    run: Histogram
    lent: Counter
    ended: Counter
    processes: UpDownCounter


@cache
def _instruments() -> _Instruments:
    """Made with the first process: a program that runs no script does not import OpenTelemetry."""
    from opentelemetry import metrics

    meter = metrics.get_meter("xworkflow.sandbox")
    return _Instruments(
        wait=meter.create_histogram(
            "xworkflow.sandbox.wait", unit="s", description="Time until a caller got a process"
        ),
        run=meter.create_histogram(
            "xworkflow.sandbox.run",
            unit="s",
            description="Time that one script took in its process",
        ),
        lent=meter.create_counter(
            "xworkflow.sandbox.lent", description="Processes lent; origin is created or reused"
        ),
        ended=meter.create_counter(
            "xworkflow.sandbox.ended",
            description="Processes ended; reason is killed, evicted or closed",
        ),
        processes=meter.create_up_down_counter(
            "xworkflow.sandbox.processes", description="Processes that live now"
        ),
    )


def lent(language: str, waited_secs: float, *, is_new: bool) -> None:
    made = _instruments()
    made.wait.record(waited_secs, {"language": language})
    made.lent.add(1, {"language": language, "origin": "created" if is_new else "reused"})


def ran(language: str, secs: float) -> None:
    _instruments().run.record(secs, {"language": language})


def started(language: str) -> None:
    _instruments().processes.add(1, {"language": language})


def ended(language: str, reason: EndReason) -> None:
    made = _instruments()
    made.ended.add(1, {"language": language, "reason": reason})
    made.processes.add(-1, {"language": language})

"""A run leaves a long history, as soon as its state fits into the message that begins the next."""

from __future__ import annotations

from typing import Any, cast

from tests.texts import noise
from xworkflow.domain.wire import RunOptions
from xworkflow.engine.carrier import Carrier
from xworkflow.engine.continuing import Continuing, fits

MB = 1024 * 1024


class Carries:
    """As much of a carrier as is looked at."""

    is_long = False

    def __init__(self, value: str = "") -> None:
        self.state: dict[str, Any] = {"pool": {"n": {"v": value}}}
        self.looked = 0

    def dump(self) -> dict[str, Any]:
        self.looked += 1
        return self.state


def continuing() -> Continuing:
    return Continuing(
        RunOptions(continue_as_new_after_events=100, continue_as_new_after_bytes=1000)
    )


def due(when: Continuing, carries: Carries, events: int, size: int = 0) -> bool:
    return when.is_due(cast("Carrier", carries), events, size)


def test_a_short_history_is_not_left_and_nobody_looks_at_its_state() -> None:
    carries = Carries()
    assert not due(continuing(), carries, 100, 1000)
    assert carries.looked == 0


def test_a_history_with_many_events_or_bytes_is_left_and_so_is_one_that_is_long_otherwise() -> None:
    assert due(continuing(), Carries(), 101)
    assert due(continuing(), Carries(), 1, 1001)
    carries = Carries()
    carries.is_long = True
    assert due(continuing(), carries, 1)


def test_a_state_that_does_not_fit_is_looked_at_again_a_quarter_later() -> None:
    when, carries = continuing(), Carries(noise(2 * MB))
    carries.is_long = True
    assert not any(due(when, carries, events) for events in range(101, 154))
    assert carries.looked == 2
    carries.state = {}
    assert not due(when, carries, 154)
    assert due(when, carries, 155)


def test_what_packs_well_fits() -> None:
    assert fits({"v": "the same words " * (4 * MB // 15)})
    assert fits({"v": noise(MB)})
    assert not fits({"v": noise(2 * MB)})


def test_before_the_server_would_end_the_run_its_history_is_left_all_the_same() -> None:
    carries = Carries(noise(2 * MB))
    assert due(continuing(), carries, 40_001)
    assert due(continuing(), carries, 1, 40 * MB + 1)
    assert carries.looked == 0

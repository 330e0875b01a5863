"""How long Temporal lets an attempt take, whatever numbers a file holds."""

from __future__ import annotations

from datetime import timedelta
from math import inf, nan

import pytest

from xworkflow.domain.policy import EngineConfig
from xworkflow.workflows.options import start_to_close

YEAR = timedelta(days=365, seconds=5)


@pytest.mark.parametrize("seconds", [1e9, 1e15, 1e300, inf, nan, 10**40])
def test_no_number_is_too_large_for_a_time_limit(seconds: float) -> None:
    assert start_to_close(seconds, EngineConfig()) == YEAR
    assert start_to_close(7.5, EngineConfig()) == timedelta(seconds=12.5)

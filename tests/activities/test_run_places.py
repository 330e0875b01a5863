"""Golden histories say who held a place, and when."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory

from xworkflow.activities.run_places import Place
from xworkflow.data_converter import DATA_CONVERTER

HISTORIES = Path(__file__).parents[1] / "histories"


NONE, WAITS, HAS = "no place", "waits", "has a place"


@pytest.mark.parametrize(
    ("name", "story"),
    [
        ("governed", [(NONE, -1), (HAS, 0)]),
        ("governed_queued", [(NONE, -1), (WAITS, 0), (HAS, 0)]),
        ("governed_waiting", [(NONE, -1), (HAS, 0), (NONE, 0), (HAS, 1)]),
        ("continued_as_new.2", [(NONE, -1), (HAS, 0)]),
    ],
)
async def test_a_history_tells_of_its_runs_place(name: str, story: list[tuple[str, int]]) -> None:
    text = (HISTORIES / f"{name}.json").read_text()
    place, told = Place(DATA_CONVERTER), [(NONE, -1)]
    for event in WorkflowHistory.from_json("golden", text).events:
        await place.take(event)
        now = WAITS if place.waits else HAS if place.held else NONE
        if told[-1] != (now, place.turn):
            told.append((now, place.turn))
    assert told == story

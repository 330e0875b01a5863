"""Golden histories say who held a place, and when."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory

from xworkflow.activities.run_places import Place
from xworkflow.data_converter import DATA_CONVERTER

HISTORIES = Path(__file__).parents[1] / "histories"


@pytest.mark.parametrize(
    ("name", "story"),
    [
        ("governed", ["no place", "has one 0"]),
        ("governed_queued", ["no place", "waits 0", "has one 0"]),
        ("governed_waiting", ["no place", "has one 0", "no place", "has one 1"]),
        ("continued_as_new.2", ["no place", "has one 0"]),
    ],
)
async def test_a_history_tells_of_its_runs_place(name: str, story: list[str]) -> None:
    text = (HISTORIES / f"{name}.json").read_text()
    place, told = Place(DATA_CONVERTER), list[str]()
    for event in WorkflowHistory.from_json("golden", text).events:
        now = "waits" if place.waits else "has one" if place.held else "no place"
        if not told or told[-1].split(" ")[0] != now.split(" ")[0]:
            told.append(now if now == "no place" else f"{now} {place.turn}")
        await place.take(event)
    assert told == story

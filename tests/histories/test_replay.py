"""Every shape of run that ever shipped replays, and reads as it read when it was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from tests.histories import yields
from tests.histories.shapes import SHAPES
from tests.workflows.replaying import replay
from xworkflow.client.history import HistoryFeed
from xworkflow.data_converter import DATA_CONVERTER
from xworkflow.domain.events import UNNUMBERED
from xworkflow.domain.governing import governor_id
from xworkflow.workflows import GovernorWorkflow, GraphWorkflow, SubGraphWorkflow, YieldsWorkflow

FOLDER = Path(__file__).parent
HISTORIES = sorted(p for p in FOLDER.glob("*.json") if not p.name.endswith(".events.json"))

CHILDREN = sorted((FOLDER / "children").glob("*.json"))
LEDGERS = sorted((FOLDER / "ledgers").glob("*.json"))


def recorded(path: Path) -> WorkflowHistory:
    name = path.name.split(".")[0]
    return WorkflowHistory.from_json(f"golden-{name}", path.read_text())


def parts_of(name: str) -> list[Path]:
    """The histories of one run, in order: NAME.json, NAME.2.json, …"""
    parts = [p for p in HISTORIES if p.name.split(".")[0] == name]
    return sorted(parts, key=lambda p: int(p.suffixes[0][1:]) if len(p.suffixes) > 1 else 1)


@pytest.mark.parametrize("sandboxed", [True, False], ids=["sandboxed", "unsandboxed"])
@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_golden_history_replays(path: Path, *, sandboxed: bool) -> None:
    await replay(recorded(path), sandboxed=sandboxed)


@pytest.mark.parametrize("path", CHILDREN, ids=lambda path: path.stem)
async def test_the_history_of_a_sub_graph_replays(path: Path) -> None:
    kept = json.loads(path.read_text())
    history = WorkflowHistory.from_json(kept["workflow_id"], kept["history"])
    await replay(history)


@pytest.mark.parametrize("path", LEDGERS, ids=lambda path: path.stem)
async def test_the_history_of_a_ledger_replays(path: Path) -> None:
    group_id = SHAPES[path.stem].group_id or ""
    history = WorkflowHistory.from_json(governor_id(group_id), path.read_text())
    await replay(history, GovernorWorkflow)


async def test_the_history_of_who_hears_of_places_given_back_replays() -> None:
    history = WorkflowHistory.from_json(yields.WORKFLOW_ID, yields.HISTORY.read_text())
    await replay(history, YieldsWorkflow)


@pytest.mark.parametrize("name", sorted(SHAPES))
async def test_a_golden_history_reads_as_it_was(name: str) -> None:
    seen: list[dict[str, Any]] = []
    for path in parts_of(name):
        feed = HistoryFeed(DATA_CONVERTER, f"golden-{name}")
        for event in recorded(path).events:
            # pieces of streams are put between the events by whoever reads
            made = [m for m in await feed.take(event) if m.type not in UNNUMBERED]
            seen.extend(m.to_json() for m in made)
    assert seen == json.loads((FOLDER / f"{name}.events.json").read_text())


def test_every_shape_has_a_history_and_none_names_a_machine() -> None:
    assert {path.name.split(".")[0] for path in HISTORIES} == set(SHAPES)
    assert {path.stem for path in LEDGERS} == {n for n, s in SHAPES.items() if s.usage_quota}
    for path in (*HISTORIES, *LEDGERS, *CHILDREN, yields.HISTORY):
        text = path.read_text()
        assert "stackTrace" not in text, path
        assert '"identity": "golden"' in text, path


async def test_a_changed_order_of_commands_is_caught() -> None:
    """The replayer really compares: a history of another graph's shape is refused."""
    history = recorded(FOLDER / "http.json")
    scheduled = next(
        e for e in history.events if e.HasField("activity_task_scheduled_event_attributes")
    )
    scheduled.activity_task_scheduled_event_attributes.activity_type.name = "another-type"
    replayer = Replayer(workflows=[GraphWorkflow, SubGraphWorkflow], data_converter=DATA_CONVERTER)
    with pytest.raises(Exception, match=r"(?i)nondeterminism"):
        await replayer.replay_workflow(history)

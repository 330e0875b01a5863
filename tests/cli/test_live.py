"""``xworkflow run --live``: answers are printed while they come, and once."""

from __future__ import annotations

import io

import pytest

from xworkflow.cli.progress import Progress
from xworkflow.cli.run_result import Watched
from xworkflow.client.status import Completed
from xworkflow.domain.events import GraphEngineEvent


def chunk(text: str) -> GraphEngineEvent:
    return GraphEngineEvent(0, 0, "node_run_stream_chunk", {"chunk": text})


def started() -> GraphEngineEvent:
    data = {"id": "1", "node_id": "a", "node_title": "A", "node_type": "answer"}
    return GraphEngineEvent(1, 0, "node_run_started", data)


def test_a_line_of_progress_never_breaks_into_a_line_of_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = io.StringIO()
    monkeypatch.setattr("sys.stdout", both)
    monkeypatch.setattr("sys.stderr", both)
    progress = Progress(live=True)
    for event in (chunk("Hel"), chunk("lo"), chunk(""), started(), chunk("world\n"), started()):
        progress.show(event)
    assert progress.end_text() == "Helloworld\n"
    assert both.getvalue().splitlines() == ["Hello", "▶ A (answer)", "world", "▶ A (answer)"]


def test_what_was_said_twice_is_printed_again_and_counts_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress(quiet=True, live=True)
    progress.show(chunk("wro"))
    progress.show(GraphEngineEvent(0, 0, "node_run_stream_replaced", {}))
    progress.show(chunk("right"))
    assert progress.end_text() == "right"
    assert capsys.readouterr().out == "wro\nright\n"


@pytest.mark.parametrize(("printed", "shown"), [("answer", ""), ("", "answer\n")])
def test_an_output_that_was_printed_live_is_not_printed_again(
    printed: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = Watched("id", None, None, Completed({"answer": "answer"}), printed=printed)
    watched.print()
    assert capsys.readouterr().out == shown

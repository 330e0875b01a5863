"""Arguments that more than one command takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WorkflowFile = Annotated[Path, typer.Argument(metavar="FILE", help="The workflow.")]
InputPairs = Annotated[
    list[str] | None, typer.Option("--input", "-i", metavar="K=V", help="An input.")
]
InputsFile = Annotated[
    Path | None, typer.Option("--inputs", metavar="FILE.json", help="Inputs as JSON.")
]
Query = Annotated[str | None, typer.Option(metavar="TEXT", help="sys.query, the text of a chat.")]
Address = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="A Temporal server.")]
RunId = Annotated[str, typer.Argument(metavar="ID", help="The run's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
StayOption = Annotated[
    bool | None,
    typer.Option("--wait/--no-wait", help="Whether to watch on when only people can go on."),
]
WatchOption = Annotated[
    bool | None, typer.Option("--wait/--no-wait", help="Whether to watch the run then, as `run`.")
]

"""The arguments of every command that takes a workflow and its inputs."""

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

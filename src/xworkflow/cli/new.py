"""``xworkflow new``: a small project to begin with, which runs and has a test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.printing import print_note
from xworkflow.errors import InputError

EXAMPLES = """
Write a small example project: a workflow, and a test of it.

**Exit codes:** 0 written · 2 the folder holds something already

**Examples**

    xworkflow new my-project
"""

WORKFLOW = """\
# Greets somebody, in a way that depends on the hour. Run it:
#   xworkflow run greet/workflow.yml --input name=Ada --input hour=9
version: "0.1.0"
nodes:
  - id: start
    data:
      type: start
      title: Start
      variables:
        - {variable: name, label: Name, type: string, required: true}
        - {variable: hour, label: Hour of the day, type: number, required: true}
  - id: morning
    data:
      type: if-else
      title: Is it morning?
      cases:
        - case_id: early
          logical_operator: and
          conditions:
            - {variable_selector: [start, hour], comparison_operator: less_than, value: 12}
  - id: good_morning
    data:
      type: template-transform
      title: Good morning
      template: "Good morning, {{ name }}!"
      variables:
        - {variable: name, value_selector: [start, name]}
  - id: shout
    data:
      type: code
      title: Shout
      language: javascript
      code: |
        function main({ name }) {
          return { text: `HELLO, ${name.toUpperCase()}!` }
        }
      variables:
        - {variable: name, value_selector: [start, name]}
  - id: greeting
    data:
      type: variable-aggregator
      title: The greeting
      variables:
        - [good_morning, output]
        - [shout, text]
  - id: end
    data:
      type: end
      title: End
      outputs:
        - {variable: greeting, value_selector: [greeting, output]}
edges:
  - {source: start, target: morning}
  - {source: morning, target: good_morning, source_handle: early}
  - {source: morning, target: shout, source_handle: "false"}
  - {source: good_morning, target: greeting}
  - {source: shout, target: greeting}
  - {source: greeting, target: end}
"""
INPUTS = """\
name = "Ada"
hour = 15
"""
EXPECTED = """\
status = "completed"

[outputs]
greeting = "HELLO, ADA!"
"""
README = """\
# A project of workflows

    xworkflow validate greet/workflow.yml
    xworkflow run greet/workflow.yml --input name=Ada --input hour=9
    xworkflow test .

A folder with a workflow, its inputs (`in.toml`) and what must come out (`out.toml`) is a test; mock
servers, mocked nodes and fake time go into `state.toml`. Exports of Dify run as they are.
"""
FILES = {
    "README.md": README,
    "greet/workflow.yml": WORKFLOW,
    "greet/in.toml": INPUTS,
    "greet/out.toml": EXPECTED,
}


def register(app: typer.Typer) -> None:
    @app.command("new", help=EXAMPLES)
    def command(
        folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")],
    ) -> int:
        return run(folder)


def run(folder: Path) -> int:
    """Exit code 0. Raises InputError, and then nothing was written."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError((f"{folder}: there is something already; name another folder",))
        for name, text in FILES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    except OSError as error:
        raise InputError((f"{folder}: cannot be written: {error.strerror}",)) from None
    print_note(f"written to {folder}. Next: cd {folder} && xworkflow test .")
    return ExitCode.OK

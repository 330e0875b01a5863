"""``xworkflow compile``: a run's input, for a Temporal client that is not ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.input_options import InputPairs, InputsFile, Query, WorkflowFile
from xworkflow.cli.printing import print_json

EXAMPLES = """
Check a workflow file and its inputs, and print what `GraphWorkflow` is started with: a RunInput, as
one JSON object. No server is asked, and nothing starts. See docs/temporal.md.

In Dify's dialect `sys.workflow_run_id` is part of the input: give `--id` the workflow id that the
run will be started with.

**Exit codes:** 0 printed · 2 refused

**Examples**

    xworkflow compile app.yml --input name=Ada
    xworkflow compile chat.yml --query "What is Temporal?" --id order-4711
"""


def register(app: typer.Typer) -> None:
    @app.command("compile", help=EXAMPLES)
    def command(
        file: WorkflowFile,
        *,
        inputs: InputPairs = None,
        inputs_file: InputsFile = None,
        query: Query = None,
        execution_id: Annotated[
            str | None, typer.Option("--id", metavar="ID", help="The run's id.")
        ] = None,
    ) -> int:
        return run(file, inputs or [], inputs_file, query, execution_id)


def run(
    file: Path,
    inputs: list[str],
    inputs_file: Path | None,
    query: str | None,
    execution_id: str | None,
) -> int:
    """Exit code 0. Raises InputError or ValidationFailed."""
    from dataclasses import replace

    from xworkflow.cli.files import read_inputs, read_valid
    from xworkflow.client.runner import WorkflowRunner
    from xworkflow.context import WorkflowContext

    schema = read_valid(file)
    context = WorkflowContext.default()
    if execution_id is not None:
        context = replace(context, execution_id=execution_id)
    given = read_inputs(schema, file, inputs, inputs_file)
    builder = WorkflowRunner.builder(schema).context(context).user_inputs(given)
    if query is not None:
        builder.system_vars({"query": query, "files": []})
    builder.check()
    print_json(builder.run_input(context).model_dump(mode="json", exclude_defaults=True))
    return ExitCode.OK

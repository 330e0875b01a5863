"""``xworkflow config``: what an ``xworkflow.toml`` says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xworkflow.cli.configured import FILE, configuration_file
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.printing import output, plain, print_json, table
from xworkflow.errors import InputError

if TYPE_CHECKING:
    from xworkflow.configuration import Settings

CHECK = """
Check a configuration, and show its groups. Every problem is told, with its line and key.

Variables and files that it names need not be there: `xworkflow worker` wants them.

**Exit codes:** 0 it is valid · 2 it is not

**Examples**

    xworkflow config check
    xworkflow config check /etc/xworkflow.toml --json
"""
SCHEMA = """
Print the JSON Schema of `xworkflow.toml`, for editors.

**Example**

    xworkflow config schema > xworkflow.schema.json
"""

FileArgument = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help=f"Else $XWORKFLOW_CONFIG, else {FILE} here.")
]


def register(app: typer.Typer) -> None:
    config = typer.Typer(
        name="config", help=f"Check an {FILE}.", no_args_is_help=True, rich_markup_mode="markdown"
    )

    @config.command("check", help=CHECK)
    def check_command(
        file: FileArgument = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="The settings as one object, defaults filled in.")
        ] = False,
    ) -> int:
        return check(file, as_json=as_json)

    @config.command("schema", help=SCHEMA)
    def schema_command() -> int:
        from xworkflow.configuration.json_schema import json_schema

        print_json(json_schema())
        return ExitCode.OK

    app.add_typer(config)


def check(file: Path | None, *, as_json: bool) -> int:
    """Exit code 0 for a valid file; raises ConfigurationError for another."""
    from xworkflow.configuration import read_settings

    found = configuration_file(file)
    if found is None:
        raise InputError((f"there is no {FILE} here: name a file",))
    settings = read_settings(found)
    if as_json:
        print_json(settings.model_dump(mode="json"))
    else:
        _print(settings, found)
    return ExitCode.OK


def _print(settings: Settings, file: Path) -> None:
    from xworkflow.domain.quota import SecurityLevel

    rows = table("group", "name", "level", "providers", "quota", "placement")
    for group_id, group in settings.groups.items():
        usage, level = group.usage_quota(), group.level or SecurityLevel.STANDARD
        names = settings.providers if group.providers is None else group.providers
        set_limits = {} if usage is None else usage.model_dump(exclude_defaults=True)
        rows.add_row(
            plain(group_id),
            plain(group.name or ""),
            level.value,
            plain("of the environment" if names is None else ", ".join(names)),
            plain(", ".join(set_limits)),
            group.placement,
        )
    output().print(rows)
    output().print(f"[green]valid[/] {plain(str(file))}")

"""Where ``xworkflow.toml`` is, and which of its groups a command means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from xworkflow.domain.near_miss import did_you_mean
from xworkflow.domain.wire import DEFAULT_GROUP
from xworkflow.errors import InputError

if TYPE_CHECKING:
    from xworkflow.configuration import GroupSettings, Settings

VARIABLE: Final = "XWORKFLOW_CONFIG"
FILE: Final = "xworkflow.toml"

ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help=f"Groups and providers; else ${VARIABLE}, else {FILE} here, else none.",
    ),
]
GroupOption: TypeAlias = Annotated[
    str | None, typer.Option("--group-id", metavar="ID", help="The group whose run it is.")
]


def configuration_file(named: Path | None = None) -> Path | None:
    """The file that was named, the environment's, or the one of this directory if it is there."""
    if named is not None:
        return named
    of_environment = os.environ.get(VARIABLE)
    if of_environment:
        return Path(of_environment)
    here = Path(FILE)
    return here if here.is_file() else None


def require_group(settings: Settings, file: Path, group_id: str) -> None:
    """Raises InputError when the file has no such group."""
    if group_id not in settings.groups:
        near = did_you_mean(group_id, settings.groups)
        hint = "; name a group with --group-id" if group_id == DEFAULT_GROUP else near
        raise InputError((f"{file} has no [groups.{group_id}]{hint}",))


def configured_group(group_id: str | None) -> GroupSettings | None:
    """The table of a run's group in the configuration of this directory; None without one.

    Raises InputError when it has no such group, and ConfigurationError.
    """
    from xworkflow.configuration import read_settings

    file = configuration_file()
    if file is None:
        return None
    settings = read_settings(file)
    require_group(settings, file, group_id or DEFAULT_GROUP)
    return settings.groups[group_id or DEFAULT_GROUP]

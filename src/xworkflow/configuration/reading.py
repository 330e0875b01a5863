"""From a file to its settings, or to everything that is wrong with it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar, cast

from pydantic import BaseModel, ValidationError

from xworkflow.configuration.group_settings import GroupSettings
from xworkflow.configuration.key_lines import KeyLines
from xworkflow.configuration.problems import dotted, problems_of
from xworkflow.configuration.settings import Settings
from xworkflow.domain.foreign_json import depth_of
from xworkflow.domain.near_miss import did_you_mean
from xworkflow.domain.wire import DEFAULT_GROUP
from xworkflow.errors import ConfigurationError

_DEEPEST: Final = 50
_TOO_DEEP: Final = f"tables and lists lie in one another, more than {_DEEPEST} deep"


def read_settings(path: Path) -> Settings:
    """The file's settings. Raises ConfigurationError with a sentence for each problem:
    ``xworkflow.toml:7: groups.acme.quota.max_steps: should be a valid integer, not 'many'``."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors of Windows write the sign
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError((f"{path} cannot be read: {reason}",)) from None
    return parse_settings(text, name=str(path), directory=path.absolute().parent)


def parse_settings(
    text: str, *, name: str = "xworkflow.toml", directory: Path | None = None
) -> Settings:
    """As ``read_settings``, of a text. Relative paths start at ``directory``."""
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise ConfigurationError((f"{name}: {_TOO_DEEP}",)) from None
    except ValueError as error:  # numbers of thousands of digits among them
        raise ConfigurationError((f"{name} is no TOML: {error}",)) from None
    lines = KeyLines(text)
    deep = next((key for key, value in table.items() if depth_of(value) >= _DEEPEST), None)
    if deep is not None:
        raise ConfigurationError((_told(name, lines.line_of((deep,)), (deep,), _TOO_DEEP),))
    found = _problems(table, {"directory": directory or Path()})
    if isinstance(found, Settings):
        return found
    placed = [(lines.line_of(path), path, what) for path, what in found]
    placed.sort(key=lambda problem: problem[0] or 0)
    raise ConfigurationError(tuple(_told(name, *problem) for problem in placed))


Model = TypeVar("Model", bound=BaseModel)
_Problems: TypeAlias = list[tuple[tuple[str, ...], str]]


def _problems(table: dict[str, Any], context: Mapping[str, Path]) -> Settings | _Problems:
    defaults = table.get("defaults", {})
    groups = table.get("groups")
    if isinstance(defaults, dict) and isinstance(groups, dict):
        # what is wrong there is told once, and not for each group
        try:
            _validated(GroupSettings, cast("dict[str, Any]", defaults), context)
        except ValidationError as error:
            return [(("defaults", *p), what) for p, what in problems_of(error, GroupSettings)]
        below, tables = cast("dict[str, Any]", defaults), cast("dict[str, Any]", groups)
        table = table | {"groups": {i: _over(below, given) for i, given in tables.items()}}
    elif groups is None and defaults:
        table = table | {"groups": {DEFAULT_GROUP: defaults}}
    try:
        settings = _validated(Settings, table, context)
    except ValidationError as error:
        return problems_of(error, Settings)
    return _contradictions(settings) or settings


def _validated(model: type[Model], table: Mapping[str, Any], context: Mapping[str, Path]) -> Model:
    # as JSON, in which strictness allows lists and texts for tuples, enums and paths
    text = json.dumps(table, default=str)
    return model.model_validate_json(text, strict=True, extra="forbid", context=context)


def _over(defaults: object, given: object) -> object:
    """The given table over the defaults, key by key; anything else replaces what is there."""
    if not isinstance(defaults, dict) or not isinstance(given, dict):
        return given
    below, above = cast("dict[str, Any]", defaults), cast("dict[str, Any]", given)
    return below | {key: _over(below.get(key), value) for key, value in above.items()}


def _contradictions(settings: Settings) -> _Problems:
    """What is wrong although each part of it is right."""
    found: _Problems = []
    known = settings.providers or {}
    for group_id, group in settings.groups.items():
        if group_id == DEFAULT_GROUP:
            what = "counts over all workers; only named groups do"
            found += [(("groups", group_id, *key.split(".")), what) for key in group.counts]
        for provider in group.providers or ():
            if provider not in known:
                what = f"there is no [providers.{dotted((provider,))}]"
                near = did_you_mean(provider, known)
                found.append((("groups", group_id, "providers"), what + near))
    return found


def _told(name: str, line: int | None, path: tuple[str, ...], what: str) -> str:
    place = name if line is None else f"{name}:{line}"
    return f"{place}: {dotted(path)}: {what}" if path else f"{place}: {what}"

"""What is wrong with a file, one sentence for each place, as people say it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from xworkflow.configuration.group_settings import SOURCE_KINDS
from xworkflow.domain.near_miss import did_you_mean

_PLAIN_KEY: Final = re.compile(r"[\w-]+")
_OF_A_NAME: Final = "[key]"
_LONGEST_VALUE: Final = 60
_KINDS: Final = f"{', '.join(SOURCE_KINDS[:-1])} or {SOURCE_KINDS[-1]}"
_WORDS: Final = {
    "Input ": "",
    "an object": "a table",
    "a valid dictionary": "a table",
    "a valid array": "a list",
    "Tuple": "the list",
    "Dictionary": "the table",
    " after validation": "",
    "be True": "be true",
    ", not 0": "",
}
_SECRET: Final = re.compile(r"key|token|secret|password", re.IGNORECASE)

KeyPath: TypeAlias = tuple[str, ...]


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[tuple[KeyPath, str]]:
    """The place and the sentence of each error; ``model`` is what was validated."""
    found: dict[KeyPath, str] = {}
    for detail in error.errors(include_url=False):
        found.setdefault(_keys(detail["loc"]), _sentence(detail, model))
    # a table is wrong because of what is in it
    around = {path[:length] for path in found for length in range(len(path))}
    return [(path, what) for path, what in found.items() if path not in around]


def _keys(location: Sequence[str | int]) -> KeyPath:
    """As the file has it: the kind of a source is no key on the way to its parts."""
    before = (None, *location)
    return tuple(
        str(part)
        for last, part in zip(before, location, strict=False)
        if part != _OF_A_NAME and not (isinstance(last, int) and part in SOURCE_KINDS)
    )


def dotted(path: Sequence[str]) -> str:
    """A path as TOML writes it."""
    return ".".join(part if _PLAIN_KEY.fullmatch(part) else f'"{part}"' for part in path)


def _sentence(detail: ErrorDetails, model: type[BaseModel]) -> str:
    path, context = detail["loc"], cast("Mapping[str, Any]", detail.get("ctx") or {})
    match detail["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            near = did_you_mean(str(path[-1]), _keys_at(model, path[:-1]))
            return f"there is no such key{near}"
        case "missing":
            return "is missing"
        case "value_error":
            return str(context.get("error", detail["msg"]))
        case "union_tag_not_found":
            return f"is missing its kind: {_KINDS}"
        case "union_tag_invalid":
            return f"there is no kind {context.get('tag')!r}: {_KINDS}"
        case _:
            return _in_words(detail["msg"]) + _not_this(path, detail["input"])


def _in_words(message: str) -> str:
    """Pydantic's message in the words of TOML."""
    for python, toml in _WORDS.items():
        message = message.replace(python, toml)
    return message[:1].lower() + message[1:].rstrip(".")


def _not_this(path: Sequence[object], value: object) -> str:
    """What stands there instead, unless that may be a secret or is a whole table."""
    if isinstance(value, Mapping) or any(_SECRET.search(str(part)) for part in path):
        return ""
    if isinstance(value, str) and "@" in value:  # a URL may hold a password
        return ""
    shown = f"{value!r}".lower() if isinstance(value, bool) else f"{value!r}"
    return f", not {shown}" if len(shown) <= _LONGEST_VALUE else ""


def _keys_at(model: type[BaseModel], path: Sequence[str | int]) -> Iterable[str]:
    """The keys of the table at a path of a model."""
    models: list[type[BaseModel]] = [model]
    for part in path:
        fields = [of.model_fields[str(part)] for of in models if str(part) in of.model_fields]
        inner = [found for field in fields for found in _models_in(field.annotation)]
        models = inner or models  # the key of a table of tables, or the kind of a union
    return [key for of in models for key in of.model_fields]


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]

"""Values of the variable pool (spec/graph.md 3.2): plain JSON values, and files.

A value is ``None``, ``bool``, ``int``, ``float``, ``str``, ``list`` or ``dict``. A file is a
``dict`` with Dify's own marker, so that it survives JSON unchanged. Values are never mutated once
they are in a pool; whoever changes one makes a new one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import unquote, urlsplit

from xworkflow.domain.mime_types import mime_type_of

JsonValue: TypeAlias = Any
"""None, bool, int, float, str, list of these, or dict from str to these."""

FILE_MARK: Final = "dify_model_identity"
FILE_MARK_VALUE: Final = "__dify__file__"

Kind = Literal["null", "string", "number", "boolean", "object", "array", "file"]

MAX_DEPTH: Final = 100
"""Nesting of a value that comes from outside. What is made of such values is some levels deeper,
and the readers of messages go 200 deep."""
HALF_A_PAIR: Final = re.compile(r"[\ud800-\udfff]")
"""In a text of Python's, half of a surrogate pair, which UTF-8 cannot spell."""

_I64_MIN, _I64_MAX = -(2**63), 2**63 - 1


def is_file(value: JsonValue) -> bool:
    """Whether the value is a file (3.5)."""
    if not isinstance(value, dict):
        return False
    return cast("dict[str, Any]", value).get(FILE_MARK) == FILE_MARK_VALUE


def is_number(value: JsonValue) -> bool:
    """Whether the value is an integer or a float; booleans are not numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def kind_of(value: JsonValue) -> Kind:
    """The kind's name as type errors print it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, list):
        return "array"
    return "file" if is_file(value) else "object"


def compact_json(value: JsonValue) -> str:
    """JSON without spaces, non-ASCII kept, floats with their fraction."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def display_float(number: float) -> str:
    """Shortest decimal, never an exponent, no fraction for whole numbers: ``2.0`` prints ``2``."""
    if number != number:  # noqa: PLR0124 - NaN
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "inf" if number > 0 else "-inf"
    if number == int(number):
        return f"{number:.0f}" if abs(number) < 2**53 else _expand(repr(number))
    return _expand(repr(number))


def _expand(text: str) -> str:
    """Write a float's ``repr`` without an exponent."""
    if "e" not in text:
        return text.removesuffix(".0")
    mantissa, _, exponent = text.partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    shift = int(exponent)
    digits = whole + fraction
    point = len(whole) + shift
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return sign + digits + "0" * (point - len(digits))
    return f"{sign}{digits[:point]}.{digits[point:]}"


def display(value: JsonValue) -> str:
    """The display string of a value (3.2), as templates and ``is`` conditions see it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return display_float(value)
    return compact_json(value)


def normalise(value: JsonValue, *, max_depth: int = MAX_DEPTH) -> JsonValue:
    """Map foreign data to pool values: tuples to lists, integers beyond 64 bits to floats.

    Raises TypeError, naming the type, for what JSON cannot hold, and for what is nested too deeply.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not value.isascii() and HALF_A_PAIR.search(value):
            raise TypeError("a text with half a surrogate pair is not a JSON value")
        return value
    if isinstance(value, int) and _I64_MIN <= value <= _I64_MAX:
        return value
    if isinstance(value, (int, float)):
        return _finite(value)
    if not isinstance(value, (list, tuple, Mapping)):
        raise TypeError(f"{type(value).__name__} is not a JSON value")
    if max_depth < 0:
        raise TypeError(f"a value that is nested deeper than {MAX_DEPTH} levels is none of ours")
    if isinstance(value, (list, tuple)):
        return [normalise(item, max_depth=max_depth - 1) for item in cast("list[Any]", value)]
    members = cast("Mapping[Any, Any]", value).items()
    return {normalise(str(k)): normalise(v, max_depth=max_depth - 1) for k, v in members}


def _finite(number: float) -> float:
    try:
        real = float(number)
    except OverflowError:
        raise TypeError("an integer that large is not a JSON value") from None
    if not math.isfinite(real):
        raise TypeError(f"{real} is not a JSON value")
    return real


_FILE_DEFAULTS: dict[str, JsonValue] = {
    "name": "",
    "size": 0,
    "mime_type": "application/octet-stream",
    "transfer_method": "remote_url",
}
_FILE_OPTIONAL = {
    "id": str,
    "url": str,
    "extension": str,
    "last_modified": object,
    "hash": str,
    "extra": dict,
}
_TRANSFER_METHODS = ("remote_url", "local_file", "tool_file", "internal_storage")


def to_file(value: JsonValue) -> JsonValue | None:
    """The file that an object describes (3.5), or None when it does not fit.

    All fields are optional on input; the suffix of the name is the fallback for the extension.
    Dify's own objects (``{type, transfer_method, upload_file_id or url}``) get what they lack.
    """
    if not isinstance(value, dict):
        return None
    given = _from_dify(cast("dict[str, Any]", value))
    file: dict[str, JsonValue] = {FILE_MARK: FILE_MARK_VALUE}
    for key, default in _FILE_DEFAULTS.items():
        item = given.get(key, default)
        if type(item) is not type(default):
            return None
        file[key] = item
    if file["transfer_method"] not in _TRANSFER_METHODS:
        return None
    for key, wanted in _FILE_OPTIONAL.items():
        item = given.get(key)
        if item is None:
            continue
        if not isinstance(item, wanted):
            return None
        file[key] = item
    if "extension" not in file and "." in file["name"]:
        file["extension"] = "." + file["name"].rsplit(".", 1)[1]
    for key, item in given.items():
        file.setdefault(key, item)
    return file


_DIFY_NAMES = {
    "upload_file_id": "id",
    "tool_file_id": "id",
    "related_id": "id",
    "remote_url": "url",
    "filename": "name",
}
FILE_CATEGORIES: Final = frozenset({"image", "document", "audio", "video", "custom"})


def _from_dify(given: dict[str, Any]) -> dict[str, Any]:
    """A file object of Dify's API under our names; its name is in its URL. Others as they are."""
    drawn = given.get("type")
    if not (isinstance(drawn, str) and drawn in FILE_CATEGORIES):
        return given
    renamed = {ours: given[dify] for dify, ours in _DIFY_NAMES.items() if given.get(dify)}
    file = {**renamed, **{key: item for key, item in given.items() if item not in (None, "")}}
    url = file.get("url")
    if "name" not in file and isinstance(url, str) and (name := _name_in(url)):
        file["name"] = name
    if "mime_type" not in file:
        file["mime_type"] = mime_type_of(str(file.get("name") or file.get("id") or ""))
    return file


def _name_in(url: str) -> str:
    """The last segment of a URL's path; nothing where it cannot be read."""
    try:
        return unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    except ValueError:
        return ""


def coerce_declared(value: JsonValue, declared_type: str) -> JsonValue:
    """Convert an input by its declared type (3.4): only files change; nothing is ever refused."""
    if declared_type == "file":
        return to_file(value) or value
    if declared_type in ("array[file]", "file-list") and isinstance(value, list):
        given = cast("list[Any]", value)
        files = [to_file(item) for item in given]
        return given if None in files else files
    return value

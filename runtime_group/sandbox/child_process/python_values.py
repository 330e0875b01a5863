"""Results and prints of Python scripts, whichever interpreter ran them."""

import json
import math
from typing import cast

_INT64 = 1 << 63


class NotJsonError(Exception):
    """``main`` returned what JSON cannot hold; the message says what it was."""


class Printed:
    """What the script prints, up to a limit in characters; the rest is dropped."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._parts: list[str] = []

    def __call__(self, _stream: str, text: str) -> None:
        self._parts.append(text[: self._left])
        self._left -= len(self._parts[-1])

    def text(self) -> str:
        return "".join(self._parts).removesuffix("\n")


def as_json(value: object) -> object:
    """The JSON form of a result: tuples are lists, infinities and NaN are null.

    Integers beyond 64 bits become floats, as all values of the pool. Raises NotJsonError.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else _as_float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return {_key(key): as_json(item) for key, item in items}
    raise NotJsonError(f"main returned a value of type {type_name(value)}, which JSON cannot hold")


def _as_float(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def _key(key: object) -> str:
    """The text that JSON gives a key that is no text: ``True`` is ``true``, ``1`` is ``1``."""
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (bool, int, float)):
        try:
            return json.dumps(key)
        except ValueError:  # Python writes no number of more than 4,300 digits
            raise NotJsonError("main returned a number of too many digits as a key") from None
    raise NotJsonError(f"main returned a key of type {type_name(key)}, which JSON cannot hold")


def type_name(value: object) -> str:
    """``set``, ``bytes``, or the name of a class that the script itself defined."""
    name = getattr(value, "name", None)
    is_proxy = type(value).__name__.startswith("Monty")
    return name if is_proxy and isinstance(name, str) else type(value).__name__

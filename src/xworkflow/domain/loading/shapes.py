"""Taking typed values out of parsed text, with an error that says where the shape is wrong."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

from xworkflow.domain.values import JsonValue, kind_of

Object: TypeAlias = dict[str, JsonValue]


class ShapeError(ValueError):
    """Something is missing or has the wrong type; ``field`` is the path to it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}" if field else f"it {problem}")
        self.field = field
        self.problem = problem

    def inside(self, path: str) -> ShapeError:
        """The same error, seen from further out."""
        return ShapeError(f"{path}.{self.field}" if self.field else path, self.problem)


def as_object(value: JsonValue, field: str = "") -> Object:
    """Raises ShapeError for anything but an object; no field means the place of the caller."""
    if not isinstance(value, dict):
        raise ShapeError(field, f"must be an object, not {kind_of(value)}")
    return cast("Object", value)


def object_at(raw: Object, key: str) -> Object:
    return as_object(_present(raw, key), key)


def list_at(raw: Object, key: str) -> list[JsonValue]:
    return _as_list(_present(raw, key), key)


def string_at(raw: Object, key: str) -> str:
    return _as_string(_present(raw, key), key)


def id_at(raw: Object, key: str) -> str:
    """An id as Dify's files have it: a number, which who writes by hand leaves without quotes."""
    value = _present(raw, key)
    return str(value) if type(value) is int else _as_string(value, key)


def optional_object(raw: Object, key: str) -> Object | None:
    """None where the key is absent or null, as in all ``optional_…``."""
    return None if raw.get(key) is None else object_at(raw, key)


def optional_list(raw: Object, key: str) -> list[JsonValue]:
    """Empty where the key is absent or null."""
    return [] if raw.get(key) is None else list_at(raw, key)


def optional_string(raw: Object, key: str) -> str | None:
    return None if raw.get(key) is None else string_at(raw, key)


def _present(raw: Object, key: str) -> JsonValue:
    if key not in raw:
        raise ShapeError(key, "is missing")
    return raw[key]


def _as_list(value: JsonValue, field: str) -> list[JsonValue]:
    if not isinstance(value, list):
        raise ShapeError(field, f"must be an array, not {kind_of(value)}")
    return cast("list[Any]", value)


def _as_string(value: JsonValue, field: str) -> str:
    if not isinstance(value, str):
        raise ShapeError(field, f"must be a string, not {kind_of(value)}")
    return value

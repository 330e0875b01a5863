"""JSON text to values that every reader on the way to a worker can hold."""

from __future__ import annotations

import json

from xworkflow.domain.loading.checked import checked
from xworkflow.domain.loading.limits import TOO_DEEP
from xworkflow.domain.loading.numbers import integer, real
from xworkflow.domain.values import JsonValue
from xworkflow.errors import DslParseError


def parse_json(text: str) -> JsonValue:
    """Parse JSON; a key that stands twice in an object is an error. Raises DslParseError."""
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_int=integer, parse_float=real, parse_constant=str
        )
    except json.JSONDecodeError as error:
        raise DslParseError(f"{error.msg} (column {error.colno})", line=error.lineno) from None
    except RecursionError:
        raise DslParseError(TOO_DEEP) from None
    return checked(value)


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise DslParseError(f"the key '{twice}' stands twice in one object")
    return made

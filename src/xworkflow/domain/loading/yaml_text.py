"""YAML text to JSON values in one pass over the parser's events.

Not PyYAML's own constructor, because that recurses (deep input ends the process), expands aliases
without a limit, keeps no lines, and turns ``no``, ``010`` and ``12:30`` into something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NoReturn, cast

import yaml

from xworkflow.domain.loading.limits import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_VALUES,
    TOO_DEEP,
    TOO_LARGE,
    TOO_MANY,
)
from xworkflow.domain.loading.numbers import integer, real
from xworkflow.domain.values import JsonValue
from xworkflow.errors import DslParseError

_LOADER: Final = cast("type[yaml.SafeLoader]", getattr(yaml, "CSafeLoader", yaml.SafeLoader))
_MAX_DIRECTIVES: Final = 100
"""libyaml compares each with all before it: 10 MB of them would take minutes."""

_CORE: Final = "tag:yaml.org,2002:"
_PLAIN_TAGS: Final = frozenset({f"{_CORE}{name}" for name in ("int", "float", "bool", "null")})
_TEXT_TAGS: Final = frozenset({"!", f"{_CORE}str", f"{_CORE}timestamp"})
_CONTAINER_TAGS: Final = frozenset({"!", f"{_CORE}map", f"{_CORE}seq"})

_CONSTANTS: Final[dict[str, JsonValue]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# A plain scalar is a number only where YAML 1.1 (Dify's writer) and everyday sense agree: the
# writer leaves the texts 1e5 and 0123456789 without quotes, and 010 or 1_000 mean many things.
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_REAL: Final = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?")
_NUMBER_START: Final = frozenset("0123456789+-.")


def parse_yaml(text: str) -> tuple[JsonValue, dict[int, int]]:
    """The value of a text with one document, and the lines of its objects by their ``id()``.

    Raises DslParseError, with a line where there is one.
    """
    if len(re.findall(r"^%", text, re.MULTILINE)) > _MAX_DIRECTIVES:
        raise DslParseError("the text has too many YAML directives")
    builder = _Builder()
    try:
        for event in _events(text):
            builder.feed(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        parts = (error.context, error.problem)
        detail = ", ".join(part for part in parts if part) or "this is not YAML"
        raise DslParseError(detail, line=mark.line + 1 if mark else None) from None
    except yaml.YAMLError as error:
        raise DslParseError(str(error).partition("\n")[0]) from None
    return builder.root, builder.lines


def _events(text: str) -> Iterable[yaml.Event]:
    # its type stub leaves the result open
    return cast("Any", yaml).parse(text, Loader=_LOADER)


class _Frame:
    """A list or an object that is still open, and what the counters said when it was opened."""

    __slots__ = ("anchor", "characters", "key", "value", "values")

    def __init__(self, value: Any, anchor: str | None, values: int, characters: int) -> None:  # noqa: ANN401
        self.value = value
        self.anchor = anchor
        self.values = values
        self.characters = characters
        self.key: str | None = None


class _Builder:
    """Builds the value, and counts its values and characters as if aliases were expanded."""

    def __init__(self) -> None:
        self.root: JsonValue = None
        self.lines: dict[int, int] = {}
        self.values = 0
        self.characters = 0
        self._open: list[_Frame] = []
        self._anchors: dict[str, tuple[JsonValue, int, int]] = {}
        self._documents = 0

    def feed(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._start(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                _refuse(event, "the text holds more than one YAML document")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        text = event.value
        self._count(1, len(text))
        frame = self._open[-1] if self._open else None
        if frame is not None and frame.key is None and isinstance(frame.value, dict):
            self._key(frame, event)
            return
        value = _scalar_value(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1, len(text))
        self._place(value)

    def _key(self, frame: _Frame, event: yaml.ScalarEvent) -> None:
        """A key is the text that is written, whatever it would be as a value."""
        if event.value == "<<" and event.implicit[0]:
            _refuse(event, "merge keys (<<) are not supported")
        if event.value in frame.value:
            _refuse(event, f"the key '{event.value}' stands twice in one object")
        if event.anchor is not None:
            self._anchors[event.anchor] = (event.value, 1, len(event.value))
        frame.key = event.value

    def _start(self, event: yaml.CollectionStartEvent) -> None:
        if event.tag is not None and event.tag not in _CONTAINER_TAGS:
            _refuse(event, f"the tag {event.tag} is not allowed")
        if len(self._open) >= MAX_DEPTH:
            _refuse(event, TOO_DEEP)
        frame = self._open[-1] if self._open else None
        if frame is not None and frame.key is None and isinstance(frame.value, dict):
            _refuse(event, "a key must be a text")
        value: JsonValue = [] if isinstance(event, yaml.SequenceStartEvent) else {}
        self._place(value)
        if isinstance(value, dict):
            self.lines[id(value)] = event.start_mark.line + 1  # pyright: ignore[reportUnknownArgumentType]
        self._open.append(_Frame(value, event.anchor, self.values, self.characters))
        self._count(1, 0)

    def _end(self) -> None:
        frame = self._open.pop()
        if frame.anchor is not None:
            values = self.values - frame.values
            self._anchors[frame.anchor] = (frame.value, values, self.characters - frame.characters)

    def _alias(self, event: yaml.AliasEvent) -> None:
        # an anchor is known once its value is complete, so no value can hold itself
        if event.anchor not in self._anchors:
            _refuse(event, f"the alias *{event.anchor} has no anchor before it")
        value, values, characters = self._anchors[event.anchor]
        self._count(values, characters)
        frame = self._open[-1] if self._open else None
        if frame is not None and frame.key is None and isinstance(frame.value, dict):
            _refuse(event, "a key must be a text")
        self._place(value)

    def _place(self, value: JsonValue) -> None:
        if not self._open:
            self.root = value
            return
        frame = self._open[-1]
        if frame.key is None:
            frame.value.append(value)
        else:
            frame.value[frame.key] = value
            frame.key = None

    def _count(self, values: int, characters: int) -> None:
        self.values += values
        self.characters += characters
        if self.values > MAX_VALUES:
            raise DslParseError(TOO_MANY)
        if self.characters > MAX_BYTES:
            raise DslParseError(TOO_LARGE)


def _scalar_value(event: yaml.ScalarEvent) -> JsonValue:
    tag = event.tag
    if tag is None:
        return _plain(event.value) if event.implicit[0] else event.value
    if tag in _PLAIN_TAGS:
        return _plain(event.value)
    if tag not in _TEXT_TAGS:
        _refuse(event, f"the tag {tag} is not allowed")
    return event.value


def _plain(text: str) -> JsonValue:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] in _NUMBER_START:
        if _INTEGER.fullmatch(text):
            return integer(text)
        if _REAL.fullmatch(text):
            return real(text)
    return text


def _refuse(event: yaml.Event, problem: str) -> NoReturn:
    raise DslParseError(problem, line=event.start_mark.line + 1)

"""What turns values into text while a template renders: one printer per dialect and per render.

A printer counts what it prints, texts that a template throws away included. minijinja calls it with
views, scalars and, for what a template made itself, plain lists and dicts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn, cast

from xworkflow.domain.template_values import (
    DifyList,
    DifyObject,
    NativeList,
    NativeObject,
    bare,
    native_text,
)
from xworkflow.domain.values import JsonValue


class PrintedTooMuch(Exception):  # noqa: N818 - jinja.render makes it a NodeError
    """The values of one render printed more characters than the printer allows."""


class _Printer:
    def __init__(self, limit: int) -> None:
        self._left = limit

    def _counted(self, text: str) -> str:
        self._left -= len(text)
        if self._left < 0:
            raise PrintedTooMuch
        return text


class NativePrinter(_Printer):
    """minijinja's spelling. ``native_style`` says where each method is called."""

    def output(self, value: JsonValue) -> JsonValue:
        """The finalizer; numbers are left to minijinja, which alone can tell 2 from 2.0."""
        if isinstance(value, str):
            return self._counted(value)
        if value is None or isinstance(value, (bool, NativeList, NativeObject)):
            return self._counted(native_text(bare(value)))
        return NotImplemented

    def text(self, encoded: str) -> str:
        """The text of a value that comes as JSON."""
        return self._counted(native_text(json.loads(encoded)))

    def join(self, encoded: str, separator: str | None = None) -> str:
        """Join a list's items, an object's keys or a text's characters, which come as JSON."""
        items = json.loads(encoded)
        if items is None:
            return ""
        if not isinstance(items, (list, dict, str)):
            raise TypeError("invalid operation: cannot join value of type number or bool")
        texts = map(native_text, cast("Iterable[Any]", items))
        return self._counted((separator or "").join(texts))

    def no_tojson(self, *_: object, **__: object) -> NoReturn:
        raise LookupError("unknown filter: filter tojson is unknown")


class DifyPrinter(_Printer):
    """Python's spelling, which for most values is minijinja's here."""

    def output(self, value: JsonValue) -> JsonValue:
        """The finalizer."""
        if isinstance(value, (str, DifyList, DifyObject)):
            return self._counted(str(value))
        return repr(value) if isinstance(value, float) else NotImplemented

    def tojson(self, value: JsonValue, indent: int | None = None) -> str:
        """``tojson`` as Jinja2 has it: sorted keys, ASCII, safe inside HTML."""
        text = json.dumps(bare(value), sort_keys=True, indent=indent, default=bare)
        for character in "<>&'":
            text = text.replace(character, f"\\u{ord(character):04x}")
        return self._counted(text)

"""What Jinja2 and Python's texts can do and minijinja cannot, as filters of Dify's dialect.

``python_style`` says where the ``python_…`` ones are called. Each may be handed anything, and
raises what the template's error will say.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final, cast
from urllib.parse import quote_plus

from xworkflow.domain.python_style import METHODS
from xworkflow.domain.template_values import DifyObject, bare
from xworkflow.domain.values import JsonValue, is_number

_WIDEST: Final = 10_000
"""Characters that a text is padded to; Python would pad to any length in one step."""
_WIDTH: Final = re.compile(r"%[^a-zA-Z%]*?(?:\d{5,}|\*)")
_PADDING: Final = frozenset({"center", "expandtabs", "ljust", "rjust", "zfill"})
_NEWLINE: Final = "\n"


def percent(left: JsonValue, right: JsonValue) -> JsonValue:
    """Python's ``%``: texts are filled in, numbers divided."""
    if isinstance(left, str):
        return _filled(left, right)
    if not (is_number(left) and is_number(right)):
        raise TypeError("invalid operation: % takes a text, or two numbers")
    return left % right


def formatted(value: JsonValue, *arguments: JsonValue, **named: JsonValue) -> str:
    """``format``: the placeholders of a text, filled in by position or by name."""
    if arguments and named:
        raise TypeError("format takes values by position or by name, not both")
    return _filled(_text(value), named or arguments)


def _filled(text: str, values: Any) -> str:  # noqa: ANN401 - what Python's operator takes
    if _WIDTH.search(text):
        raise ValueError(f"a text is padded to {_WIDEST} characters at most")
    return text % values


def truncate(
    value: JsonValue,
    length: int = 255,
    killwords: bool = False,
    end: str = "...",
    leeway: int = 5,
) -> str:
    """The beginning of a text, by default up to the last whole word that fits."""
    text = _text(value)
    if length < len(end) or leeway < 0:
        raise ValueError(f"truncate: the length must be {len(end)} or more, and leeway 0 or more")
    if len(text) <= length + leeway:
        return text
    kept = text[: length - len(end)]
    return (kept if killwords else kept.rsplit(" ", 1)[0]) + end


def wordcount(value: JsonValue) -> int:
    return len(re.findall(r"\w+", _text(value)))


def wordwrap(
    value: JsonValue,
    width: int = 79,
    break_long_words: bool = True,
    wrapstring: str | None = None,
    break_on_hyphens: bool = True,
) -> str:
    """Lines of at most ``width`` characters; lines that are there already stay apart."""
    between = _NEWLINE if wrapstring is None else wrapstring
    lines = (
        textwrap.wrap(
            line,
            width=width,
            expand_tabs=False,
            replace_whitespace=False,
            break_long_words=break_long_words,
            break_on_hyphens=break_on_hyphens,
        )
        for line in _text(value).splitlines()
    )
    return between.join(between.join(wrapped) for wrapped in lines)


def center(value: JsonValue, width: int = 80) -> str:
    return _method("center")(_text(value), width)


def forceescape(value: JsonValue) -> str:
    """``escape``, of what is escaped already, too."""
    return html.escape(_text(value)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")


def urlencode(value: JsonValue) -> str:
    """A text for a URL's path; an object or pairs as its query."""
    plain = bare(value)
    if isinstance(plain, str) or not isinstance(plain, (dict, list, tuple)):
        return quote_plus(_text(value), safe="/").replace("+", "%20")
    pairs = cast("Any", plain.items() if isinstance(plain, dict) else plain)
    return "&".join(f"{quote_plus(_text(k))}={quote_plus(_text(v))}" for k, v in pairs)


def _text(value: JsonValue) -> str:
    return "" if value is None else str(value)


def _method(name: str) -> Callable[..., Any]:
    """A method of texts. Lists that have one of this name keep it."""

    def call(value: JsonValue, *arguments: JsonValue) -> JsonValue:
        if isinstance(value, str):
            if name in _PADDING and any(is_number(a) and a > _WIDEST for a in arguments):
                raise ValueError(f"a text is padded to {_WIDEST} characters at most")
            return getattr(value, name)(*arguments)
        if name == "index" and not isinstance(value, (dict, DifyObject)):
            return value.index(*arguments)
        raise AttributeError(f"unknown method: a value has no method named {name}")

    return call


_FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "center": center,
    "forceescape": forceescape,
    "format": formatted,
    "python_percent": percent,
    "truncate": truncate,
    "urlencode": urlencode,
    "wordcount": wordcount,
    "wordwrap": wordwrap,
    **{f"python_{name}": _method(name) for name in METHODS},
}
FILTERS: Final = MappingProxyType(_FILTERS)

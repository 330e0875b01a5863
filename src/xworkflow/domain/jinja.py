"""Rendering of ``template-transform`` templates (spec/graph.md 3.7, spec/runtime.md 5.1 and 5.2).

minijinja does the work. What it must not do is bounded here: nothing is loaded or included, values
enter as read-only views, instructions burn fuel, and what is printed is counted while it is
printed. Even so only a template that passes ``screen.is_bounded`` may be rendered in a worker's
own process: the engine can be made to spend memory and time inside one instruction.

Pure and deterministic, hence replay-safe. Each render has an environment of its own (5 µs): a
shared one would hold a lock while it renders, and stay unusable after a panic of the engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple, NoReturn

from minijinja import Environment, TemplateError

from xworkflow.domain.native_style import nativise
from xworkflow.domain.selectors import Dialect
from xworkflow.domain.template_tokens import UnreadableTemplate, scan
from xworkflow.domain.template_values import (
    DifyList,
    DifyObject,
    NativeList,
    NativeObject,
    bare,
    native_text,
    view,
)
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError

MAX_FUEL: Final = 500_000
"""Instructions of one render (an item of a loop takes 5 to 10), and bytes of text / 64."""
_MAX_PRINTED: Final = 16 * 1024 * 1024
"""Characters that the values of one render may print, texts that are thrown away included."""
_PRINTED_PER_OUTPUT: Final = 16
"""How often a text may be printed on its way (macros, blocks) for each byte of allowed output."""
_NAME: Final = "template"


class SyntaxProblem(NamedTuple):
    """Why a template cannot be parsed; ``line`` counts from 1."""

    message: str
    line: int | None


class _PrintedTooMuch(Exception):  # noqa: N818 - leaves this file as a NodeError
    pass


def render(  # noqa: PLR0913 - the limits are independent
    template: str,
    variables: Mapping[str, JsonValue],
    dialect: Dialect,
    *,
    max_output_bytes: int | None = None,
    max_template_bytes: int | None = None,
    fuel: int | None = None,
) -> str:
    """Render a template with nothing but ``variables`` in reach.

    Limits are bytes of UTF-8; None means no limit but the engine's own (16 Mi characters of printed
    values, ``MAX_FUEL``). Raises NodeError ``template_error``.
    """
    _check_size("Template too large", template, max_template_bytes)
    source = _prepare(template, dialect)
    printable = min(_MAX_PRINTED, _PRINTED_PER_OUTPUT * (max_output_bytes or _MAX_PRINTED))
    environment = _environment(dialect, fuel or MAX_FUEL, _counter(printable))
    views = {name: view(value, dialect) for name, value in variables.items() if name != "self"}
    try:
        text = environment.render_str(source, _NAME, **views)
    except _PrintedTooMuch:
        limit = max_output_bytes or printable
        raise _error(f"Template output too large (max {limit}, got more)") from None
    except Exception as error:  # noqa: BLE001 - a view or filter may raise whatever Python does
        raise _error(f"Template render error: {_first_line(error)}") from None
    _check_size("Template output too large", text, max_output_bytes)
    return text


def syntax_error(template: str) -> SyntaxProblem | None:
    """What is wrong with the template's syntax, or None (diagnostic E501)."""
    try:
        Environment().undeclared_variables_in_str(template)
    except TemplateError as error:
        return SyntaxProblem(_first_line(error).replace("<string>", _NAME), error.line)
    return None


@lru_cache(maxsize=128)
def _prepare(template: str, dialect: Dialect) -> str:
    """The template as minijinja gets it; its syntax is checked as it was written."""
    problem = syntax_error(template)
    if problem is not None:
        raise _error(f"Template parse error: {problem.message}")
    if dialect == "dify":
        return template
    try:
        return nativise(template, scan(template))
    except UnreadableTemplate:  # what minijinja reads all the same prints Python's way
        return template


def _environment(dialect: Dialect, fuel: int, count: Callable[[str], str]) -> Environment:
    """An environment for one render; ``count`` sees each text that a value prints."""
    if dialect == "native":
        environment = Environment(
            fuel=fuel,
            pycompat=False,
            finalizer=lambda value: _native_output(value, count),
            filters={
                "native_text": lambda text: count(native_text(json.loads(text))),
                "native_join": lambda items, sep="": count(_join(json.loads(items), sep or "")),
                "native_tojson": _no_tojson,
            },
        )
        environment.remove_filter("urlencode")
        return environment
    return Environment(
        fuel=fuel,
        pycompat=True,
        finalizer=lambda value: _dify_output(value, count),
        filters={"tojson": lambda value, indent=None: count(_dify_json(value, indent))},
    )


def _counter(limit: int) -> Callable[[str], str]:
    """A function that passes texts on, and raises _PrintedTooMuch behind ``limit`` characters."""
    left = limit

    def count(text: str) -> str:
        nonlocal left
        left -= len(text)
        if left < 0:
            raise _PrintedTooMuch
        return text

    return count


def _join(items: JsonValue, separator: str) -> str:
    """``join`` of the native dialect: lists, an object's keys, a text's characters."""
    if items is None:
        return ""
    if not isinstance(items, (list, dict, str)):
        raise TypeError("invalid operation: cannot join value of type number or bool")
    return separator.join(map(native_text, items))


def _no_tojson(*_: object, **__: object) -> NoReturn:
    raise LookupError("unknown filter: filter tojson is unknown")


def _native_output(value: JsonValue, count: Callable[[str], str]) -> JsonValue:
    """minijinja's own spelling; numbers it prints that way itself."""
    if isinstance(value, str):
        return count(value)
    if isinstance(value, (bool, NativeList, NativeObject)) or value is None:
        return count(native_text(bare(value)))
    return NotImplemented


def _dify_output(value: JsonValue, count: Callable[[str], str]) -> JsonValue:
    """Python's own spelling; what minijinja prints that way itself is left to it."""
    if isinstance(value, str):
        return count(value)
    if isinstance(value, (DifyList, DifyObject)):
        return count(str(value))
    if isinstance(value, float):
        return repr(value)
    return NotImplemented


def _dify_json(value: JsonValue, indent: int | None) -> str:
    """``tojson`` as Jinja2 has it: sorted keys, ASCII, safe inside HTML."""
    text = json.dumps(bare(value), sort_keys=True, indent=indent)
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _check_size(problem: str, text: str, limit: int | None) -> None:
    if limit is not None and (size := len(text.encode())) > limit:
        raise _error(f"{problem} (max {limit}, got {size})")


def _first_line(error: Exception) -> str:
    """The error without minijinja's picture of the source, which is not what the user wrote."""
    return str(error).split("\n", 1)[0]


def _error(message: str) -> NodeError:
    return NodeError.of_kind("template_error", message)

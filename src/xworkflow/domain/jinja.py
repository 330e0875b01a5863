"""Rendering of ``template-transform`` templates (spec/graph.md 3.7, spec/runtime.md 5.1 and 5.2).

minijinja does the work. What it must not do is bounded here: nothing is loaded or included, values
enter as read-only views, instructions burn fuel, and what is printed is counted while it is
printed. Even so only a template that passes ``screen.is_bounded`` may be rendered in a worker's
own process: the engine can be made to spend memory and time inside one instruction.

Pure and deterministic, hence replay-safe. Each render has an environment of its own (5 µs): a
shared one would hold a lock while it renders, and stay unusable after a panic of the engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from minijinja import Environment, TemplateError

from xworkflow.domain.native_style import nativise
from xworkflow.domain.python_style import DRAFT, pythonise
from xworkflow.domain.security_limits import TemplateSafetyConfig
from xworkflow.domain.selectors import Dialect
from xworkflow.domain.template_depth import too_deep
from xworkflow.domain.template_drafts import draft
from xworkflow.domain.template_limits import (
    Counters,
    TemplateLimitPassed,
    check_template,
    counted,
)
from xworkflow.domain.template_printers import DifyPrinter, NativePrinter, PrintedTooMuch
from xworkflow.domain.template_python import FILTERS
from xworkflow.domain.template_tokens import UnreadableTemplate, scan
from xworkflow.domain.template_values import view
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError

MAX_FUEL: Final = 500_000
"""Instructions of one render (an item of a loop takes 5 to 10), and bytes of text / 64."""
_MAX_PRINTED: Final = 16 * 1024 * 1024
"""Characters that the values of one render may print, texts that are thrown away included."""
_PRINTED_PER_OUTPUT: Final = 16
"""How often a text may be printed on its way (macros, blocks) for each byte of allowed output."""
_NAME: Final = "template"
_LINE_BREAK: Final = re.compile(r"\r\n?")


class SyntaxProblem(NamedTuple):
    """Why a template cannot be parsed; ``line`` counts from 1."""

    message: str
    line: int | None


def render(  # noqa: PLR0913 - the limits are independent
    template: str,
    variables: Mapping[str, JsonValue],
    dialect: Dialect,
    *,
    max_output_bytes: int | None = None,
    max_template_bytes: int | None = None,
    fuel: int | None = None,
    safety: TemplateSafetyConfig | None = None,
) -> str:
    """Render a template with nothing but ``variables`` in reach.

    Limits are bytes of UTF-8; None means no limit but the engine's own (16 Mi characters of printed
    values, ``MAX_FUEL``). Raises NodeError ``template_error``.
    """
    if safety is not None:
        max_template_bytes = _smaller(max_template_bytes, safety.max_template_length)
        max_output_bytes = _smaller(max_output_bytes, safety.max_output_length)
    _check_size("Template too large", template, max_template_bytes)
    prepared = _prepare(template, dialect)
    printable = min(_MAX_PRINTED, _PRINTED_PER_OUTPUT * (max_output_bytes or _MAX_PRINTED))
    source = prepared.source
    environment = _environment(dialect, prepared, fuel or MAX_FUEL, printable)
    if safety is not None:
        check_template(template, safety)
        source = counted(source)
        for name, counter in Counters(safety).functions.items():
            environment.add_global(name, counter)
    given = ((name, value) for name, value in variables.items() if name != "self")
    try:
        if prepared.drafts:
            views = {name: draft(value) for name, value in given}
        else:
            views = {name: view(value, dialect) for name, value in given}
        text = environment.render_str(source, _NAME, **views)
    except PrintedTooMuch:
        limit = max_output_bytes or printable
        raise _error(f"Template output too large (max {limit}, got more)") from None
    except TemplateLimitPassed as passed:
        raise _error(f"Template render error: {passed}") from None
    except Exception as error:  # noqa: BLE001 - a view or filter may raise whatever Python does
        raise _error(f"Template render error: {_first_line(error)}") from None
    _check_size("Template output too large", text, max_output_bytes)
    return text


def syntax_error(template: str) -> SyntaxProblem | None:
    """What is wrong with the template's syntax, or None (diagnostic E501)."""
    deep = too_deep(template)
    if deep is not None:
        return SyntaxProblem(f"syntax error: {deep}", None)
    try:
        Environment().undeclared_variables_in_str(template)
    except TemplateError as error:
        return SyntaxProblem(_first_line(error).replace("<string>", _NAME), error.line)
    except UnicodeEncodeError:
        return SyntaxProblem("syntax error: the text holds half a surrogate pair", None)
    return None


class _Prepared(NamedTuple):
    """A template as minijinja gets it, the filters of Python's that it may use, and whether it
    changes lists or objects."""

    source: str
    filters: tuple[str, ...] = ()
    drafts: bool = False


@lru_cache(maxsize=128)
def _prepare(template: str, dialect: Dialect) -> _Prepared:
    """The template as minijinja gets it; its syntax is checked as it was written.

    In Dify's dialect every kind of line break is ``\\n``: Jinja2 reads templates so.
    """
    problem = syntax_error(template)
    if problem is not None:
        raise _error(f"Template parse error: {problem.message}")
    if dialect == "dify":
        template = _LINE_BREAK.sub("\n", template)
    try:
        parts = scan(template)
    except UnreadableTemplate:  # what minijinja reads all the same is left to it
        return _Prepared(template)
    if dialect == "native":
        return _Prepared(nativise(template, parts))
    source, drafts = pythonise(template, parts)
    return _Prepared(source, tuple(name for name in FILTERS if name in source), drafts)


def _environment(dialect: Dialect, prepared: _Prepared, fuel: int, printable: int) -> Environment:
    """An environment for one render that may print ``printable`` characters of values."""
    if dialect == "dify":
        printer = DifyPrinter(printable)
        filters = {name: FILTERS[name] for name in prepared.filters}
        return Environment(
            fuel=fuel,
            finalizer=printer.output,
            filters={**filters, "tojson": printer.tojson},
            globals={DRAFT: draft} if prepared.drafts else None,
        )
    native = NativePrinter(printable)
    environment = Environment(
        fuel=fuel,
        finalizer=native.output,
        filters={
            "native_text": native.text,
            "native_join": native.join,
            "native_tojson": native.no_tojson,
        },
        pycompat=False,
    )
    environment.remove_filter("urlencode")
    return environment


def _smaller(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)


def _check_size(problem: str, text: str, limit: int | None) -> None:
    if limit is not None and (size := len(text.encode(errors="replace"))) > limit:
        raise _error(f"{problem} (max {limit}, got {size})")


def _first_line(error: Exception) -> str:
    """The error without minijinja's picture of the source, which is not what the user wrote."""
    return str(error).split("\n", 1)[0]


def _error(message: str) -> NodeError:
    return NodeError.of_kind("template_error", message)

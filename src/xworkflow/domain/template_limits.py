"""A template held to a ``TemplateSafetyConfig``: what its text shows, and counters for the rest.

Counting is written into the template: after each tag that begins a loop's body, a macro or a block
stands a call of a counter that prints nothing, and before the tag that ends a macro or a block the
call that takes it back. minijinja itself has no such limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from xworkflow.domain.security_limits import TemplateSafetyConfig
from xworkflow.domain.template_tokens import Tag, Token, UnreadableTemplate, scan
from xworkflow.errors import NodeError

_LOOP: Final = "xworkflow_loop"
_ENTER: Final = "xworkflow_enter"
_LEAVE: Final = "xworkflow_leave"
_AFTER: Final = {"for": _LOOP, "macro": _ENTER, "block": _ENTER}
_BEFORE: Final = {"endmacro": _LEAVE, "endblock": _LEAVE}
_COUNTERS: Final = frozenset({_LOOP, _ENTER, _LEAVE})
_SIGN: Final = "-"


class TemplateLimitPassed(Exception):  # noqa: N818 - a verdict, not a fault of ours
    """A counter is over its limit; the text names the rule."""


class Counters:
    """What one render has done so far."""

    def __init__(self, limits: TemplateSafetyConfig) -> None:
        self._limits = limits
        self._iterations = 0
        self._depth = 0

    @property
    def functions(self) -> dict[str, Callable[[], str]]:
        """The functions that a counted template calls."""
        return {_LOOP: self._loop, _ENTER: self._enter, _LEAVE: self._leave}

    def _loop(self) -> str:
        self._iterations += 1
        limit = self._limits.max_loop_iterations
        if self._iterations > limit:
            raise TemplateLimitPassed(f"loop limit of {limit} (rule max_loop_iterations)")
        return ""

    def _enter(self) -> str:
        self._depth += 1
        limit = self._limits.max_recursion_depth
        if self._depth > limit:
            raise TemplateLimitPassed(f"recursion limit of {limit} (rule max_recursion_depth)")
        return ""

    def _leave(self) -> str:
        self._depth -= 1
        return ""


def check_template(template: str, limits: TemplateSafetyConfig) -> None:
    """Raises NodeError ``template_error`` for filters and functions that are disabled."""
    disabled = {"filter": limits.disabled_filters, "function": limits.disabled_functions}
    for tag in _tags(template):
        for token in tag.tokens:
            if token.kind == "name" and token.text in _COUNTERS:
                raise _error(f"the name '{token.text}' is taken")  # or it would stop the counting
        for kind, name in _uses(tag):
            if name in disabled[kind]:
                raise _error(f"the {kind} '{name}' is disabled (rule disabled_{kind}s)")


def counted(template: str) -> str:
    """The template with its counters; every other part of what it prints stays as it is."""
    parts: list[str] = []
    at = 0
    for tag in _tags(template):
        first, last = _opening(template, tag), _end(template, tag)
        before, after = _BEFORE.get(tag.keyword), _AFTER.get(tag.keyword)
        if before is not None:
            signed = template[first + 2] == _SIGN
            parts += (template[at:first], _call(before, trims=signed))
            at = first
        if after is not None:
            signed = template[tag.end] == _SIGN
            parts += (template[at:last], _call(after, trims=signed))
            at = last
    return "".join((*parts, template[at:]))


def _call(function: str, *, trims: bool) -> str:
    """White space that the tag beside it takes away must still touch that tag's place."""
    return f"{{{{- {function}() -}}}}" if trims else f"{{{{ {function}() }}}}"


def _tags(template: str) -> Iterator[Tag]:
    try:
        parts = scan(template)
    except UnreadableTemplate as error:
        raise _error(f"the template cannot be held to its limits: {error}") from None
    return (part for part in parts if isinstance(part, Tag))


def _opening(template: str, tag: Tag) -> int:
    return tag.start - 2 - (template[tag.start - 1] in "-+")


def _end(template: str, tag: Tag) -> int:
    return tag.end + 2 + (template[tag.end] in "-+")


def _uses(tag: Tag) -> Iterator[tuple[str, str]]:
    """(``filter`` or ``function``, name) of every name that could be one."""
    tokens = tag.tokens
    for index, token in enumerate(tokens):
        if token.kind != "name":
            continue
        before = tokens[index - 1].text if index else ""
        if before == "|" or (before == "filter" and tag.keyword == "filter" and index == 1):
            yield "filter", token.text
        elif before != "." and not _is_argument_name(tokens, index):
            # also without a call: a function can be given another name first
            yield "function", token.text
        if token.text in ("map", "select", "reject", "selectattr", "rejectattr"):
            yield from _named_filters(tokens[index + 1 :])


def _is_argument_name(tokens: tuple[Token, ...], index: int) -> bool:
    follows = tokens[index + 1].text if index + 1 < len(tokens) else ""
    return follows == "="


def _named_filters(rest: tuple[Token, ...]) -> Iterator[tuple[str, str]]:
    """The filters that ``map`` and its like are told by name."""
    for token in rest:
        if token.kind == "string":
            yield "filter", token.text[1:-1]


def _error(message: str) -> NodeError:
    return NodeError.of_kind("template_error", f"Template render error: {message}")

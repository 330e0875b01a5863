"""Selectors that a security policy refuses (spec/runtime.md 6.2): E420 to E422.

Looked for in the data itself, so that bodies and types that this version does not know count, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.security_limits import SelectorValidation
from xworkflow.domain.selectors import Selector, SelectorError, parse_selector, show
from xworkflow.domain.values import JsonValue
from xworkflow.engine.validation.subject import Subject


def check_selectors(subject: Subject, rules: SelectorValidation) -> Iterator[Diagnostic]:
    """Every ``*_selector`` key and every ``inputs`` map, however deep."""
    for node in subject.schema.nodes:
        for field, selector in drawn_selectors(node.data):
            yield from _check(node.id, field, selector, rules)


def drawn_selectors(data: JsonValue, path: str = "") -> Iterator[tuple[str, Selector]]:
    """(field path, selector) of what is drawn as one."""
    if isinstance(data, dict):
        for key, value in cast("dict[str, Any]", data).items():
            here = f"{path}.{key}" if path else key
            if key.endswith("selector"):
                yield from _parsed(here, value)
            elif key == "inputs" and isinstance(value, dict):
                for name, selector in cast("dict[str, Any]", value).items():
                    yield from _parsed(f"{here}.{name}", selector)
            else:
                yield from drawn_selectors(value, here)
    elif isinstance(data, list):
        for index, value in enumerate(cast("list[Any]", data)):
            yield from drawn_selectors(value, f"{path}[{index}]")


def _parsed(field: str, raw: JsonValue) -> Iterator[tuple[str, Selector]]:
    if not raw or not isinstance(raw, (str, list)):
        return
    try:
        yield field, parse_selector(raw)
    except SelectorError:
        return  # what it is instead is said elsewhere (E217)


def _check(
    node: str, field: str, selector: Selector, rules: SelectorValidation
) -> Iterator[Diagnostic]:
    shown = show(selector)
    if rules.too_deep(selector):
        text = f"'{shown}' has {len(selector)} parts, at most {rules.max_depth} are allowed"
        yield finding("E420", text, node=node, field=field)
    if rules.too_long(selector):
        text = f"a selector has {len(shown)} characters, at most {rules.max_length} are allowed"
        yield finding("E421", text, node=node, field=field)
    if rules.foreign(selector):
        allowed = ", ".join(sorted(rules.allowed_prefixes))
        text = f"'{shown}' starts at '{selector[0]}'; allowed are {allowed}"
        yield finding("E422", text, node=node, field=field)

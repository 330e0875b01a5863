"""Dify's llm node in the native spelling (spec/dify.md E2, spec/runtime.md 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from xworkflow.domain.loading.shapes import Object

_SWITCHES: Final = ("structured_output_switch_on", "structured_output_enabled")


def llm(data: Object) -> Object:
    """The node's data; changes its top level only, the parts are made anew."""
    prompt = data.get("prompt_template")
    if isinstance(prompt, dict):
        # the form of completion models: one text, which chat models get from the user
        data["prompt_template"] = [{"role": "user", **cast("Object", prompt)}]
    _convert(data, "memory", _memory)
    _convert(data, "vision", _vision)
    _convert(data, "context", _context)
    _convert(data, "prompt_config", _prompt_config)
    _structured_output(data)
    return data


def _convert(data: Object, key: str, convert: Callable[[Object], Object]) -> None:
    part = data.get(key)
    if isinstance(part, dict):
        data[key] = convert(cast("Object", part)) if part else None


def _prompt_config(raw: Object) -> Object:
    """Lines of the editor's table that were never filled in are no variables."""
    drawn = raw.get("jinja2_variables")
    lines = cast("list[Any]", drawn) if isinstance(drawn, list) else []
    tables = (cast("Object", line) for line in lines if isinstance(line, dict))
    kept = [line for line in tables if line.get("value_selector")]
    return {**raw, "jinja2_variables": kept}


def _structured_output(data: Object) -> None:
    """The schema, where the editor's switch for it is on (its older name included)."""
    switches = [data.pop(key, None) for key in _SWITCHES]
    drawn = data.pop("structured_output", None)
    if True in switches and isinstance(drawn, dict):
        data["output_schema"] = cast("Object", drawn).get("schema")


def _memory(raw: Object) -> Object:
    """Whatever its window, a node with memory is told what the user asks."""
    memory = {key: item for key, item in raw.items() if key != "window"}
    window = raw.get("window")
    if isinstance(window, dict) and cast("Object", window).get("enabled") is True:
        # an emptied field of the editor is an empty text: no limit
        memory["window_size"] = cast("Object", window).get("size") or None
    return {"enabled": True, **memory}


def _vision(raw: Object) -> Object:
    configs = raw.get("configs")
    inner = cast("Object", configs) if isinstance(configs, dict) else {}
    # Dify looks at the files of the user's message where nothing else is drawn
    selector = inner.get("variable_selector") or ["sys", "files"]
    return {**inner, "enabled": raw.get("enabled") is True, "variable_selector": selector}


def _context(raw: Object) -> Object:
    """An empty selector is how the editor says that there is none."""
    return {**raw, "variable_selector": raw.get("variable_selector") or None}

"""Questions to people, as a terminal shows them: the text, the fields, the line that answers."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from xworkflow.cli.files import value_of
from xworkflow.cli.printing import errors, plain, plain_line
from xworkflow.domain.wire import Waiting
from xworkflow.errors import InputError

TEXTS: Final = frozenset(
    {"text", "textarea", "date", "email", "radio", "dropdown", "paragraph", "select", "hidden"}
)
"""Types of fields that take a text as it is; the others take JSON."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form, of either dialect."""

    name: str
    type: str
    required: bool
    options: tuple[str, ...]
    default: Any

    @property
    def sentence(self) -> str:
        parts = [self.type]
        if self.options:
            parts.append(f"one of {', '.join(self.options)}")
        if self.default is not None:
            parts.append(f"default {self.default!r}")
        elif self.required:
            parts.append("required")
        return "; ".join(parts)


def fields_of(waiting: Waiting) -> Iterator[Field]:
    """The fields that an answer may set."""
    schema: Any = waiting.form_schema
    if isinstance(schema, list):
        for drawn in cast("list[dict[str, Any]]", schema):
            name = drawn["variable"]
            yield Field(
                name,
                drawn["field_type"],
                bool(drawn.get("required")),
                _options(drawn.get("options")),
                waiting.defaults.get(name),
            )
        return
    for drawn in _part(waiting, "inputs"):
        name = drawn["output_variable_name"]
        yield Field(
            name, drawn["type"], True, _options(drawn.get("options")), waiting.defaults.get(name)
        )


def actions_of(waiting: Waiting) -> dict[str, str]:
    """The buttons of a form of Dify: titles by id."""
    return {action["id"]: action.get("title") or "" for action in _part(waiting, "user_actions")}


def text_of(waiting: Waiting) -> str:
    """What the person is asked."""
    return waiting.prompt_text or str(_drawn(waiting).get("form_content") or "")


def print_question(waiting: Waiting, execution_id: str, where: str = "") -> None:
    """The question, and the command that answers it. ``where`` is what names the server."""
    console = errors()
    until = "" if waiting.timeout_at is None else f" [dim]until {_time(waiting.timeout_at)}[/]"
    title = plain_line(waiting.title or waiting.node_id)
    console.print(f"[magenta]?[/] {title} [dim]({plain(waiting.node_id)})[/] waits{until}")
    for line in text_of(waiting).splitlines():
        console.print(f"  {plain(line)}")
    for field in fields_of(waiting):
        console.print(f"  [bold]{plain(field.name)}[/] [dim]{plain_line(field.sentence)}[/]")
    for action, shown in actions_of(waiting).items():
        console.print(f"  [bold]{plain(action)}[/] [dim]{plain_line(shown)}[/]")
    line = f"{answering_line(waiting, execution_id)}{where}"
    console.print(f"  [dim]answer with:[/] {plain(line)}")


def ask(waiting: Waiting) -> dict[str, Any]:
    """Ask for each field at the terminal; returns the parts of the answer. Where nothing is typed
    the form's own default holds. Raises InputError when there are no more lines."""
    form_data: dict[str, Any] = {}
    for field in fields_of(waiting):
        text = _line(field.name, None if field.default is None else str(field.default))
        if text:
            form_data[field.name] = text if field.type in TEXTS else value_of(text)
    parts: dict[str, Any] = {"form_data": form_data}
    if waiting.resume_mode == "approval":
        parts["decision"] = _line("approve or reject")
    actions = list(actions_of(waiting))
    if actions:
        only = actions[0] if len(actions) == 1 else None
        parts["action"] = _line(" or ".join(actions), only) or only
    return parts


def _line(name: str, default: str | None = None) -> str:
    shown = "" if default is None else f" [dim]({plain(default)})[/]"
    errors().print(f"{plain(name)}{shown}: ", end="")
    try:
        return input().strip()
    except EOFError:
        raise InputError(("the answer was not given",)) from None


def answering_line(waiting: Waiting, execution_id: str) -> str:
    """The command that answers, with places for the values."""
    line = (
        f"xworkflow runs answer {shlex.quote(execution_id)} --node {shlex.quote(waiting.node_id)}"
    )
    for field in fields_of(waiting):
        if field.required and field.default is None:
            line += f" --set {shlex.quote(field.name)}=…"
    if waiting.resume_mode == "approval":
        line += " --decision approve|reject"
    actions = "|".join(map(shlex.quote, actions_of(waiting)))
    return f"{line} --action {actions}" if actions else line


def _options(drawn: Any) -> tuple[str, ...]:  # noqa: ANN401 - whatever a form holds
    if not isinstance(drawn, list):
        return ()
    return tuple(_option(option) for option in cast("list[Any]", drawn))


def _option(drawn: Any) -> str:  # noqa: ANN401 - a text, or an object with one
    if isinstance(drawn, Mapping):
        option = cast("Mapping[str, Any]", drawn)
        return str(next((option[key] for key in ("value", "label", "name") if key in option), ""))
    return str(drawn)


def _part(waiting: Waiting, name: str) -> list[dict[str, Any]]:
    part = _drawn(waiting).get(name)
    return cast("list[dict[str, Any]]", part) if isinstance(part, list) else []


def _drawn(waiting: Waiting) -> dict[str, Any]:
    """A form of Dify as it is drawn; empty for a native one, which is a list of fields."""
    schema: Any = waiting.form_schema
    return cast("dict[str, Any]", schema) if isinstance(schema, dict) else {}


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M")

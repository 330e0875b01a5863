"""Dify's forms: a text with places for inputs, and buttons (spec/dify.md E2).

``{{#$outputs.name#}}`` in the text is the place of an input. It stays for the front end, and is
filled in once somebody has answered; a value that only looks like a place stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict

from xworkflow.domain.pool import file_attribute
from xworkflow.domain.selectors import parse_selector
from xworkflow.domain.values import JsonValue, display, is_file, to_file

InputType = Literal["paragraph", "select", "file", "file-list"]

_PLACE: Final = re.compile(r"\{\{#\$outputs\.([^#]++)#\}\}")
_OPTION_KEYS: Final = ("value", "label", "name")


def _optional_selector(raw: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    return parse_selector(raw) if raw else None


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class InputDefault(_Part):
    type: Literal["constant", "variable"] = "constant"
    selector: Annotated[tuple[str, ...] | None, BeforeValidator(_optional_selector)] = None
    value: JsonValue = None


class FormInput(_Part):
    """``options`` of a select, where they are drawn, are all that it takes."""

    type: InputType
    output_variable_name: str
    default: InputDefault | None = None
    options: tuple[JsonValue, ...] | None = None

    @property
    def choices(self) -> frozenset[str] | None:
        """The texts that a select takes; None where it takes any."""
        if self.type != "select" or self.options is None:
            return None
        return frozenset(map(_choice, self.options))

    def problems(self, value: JsonValue) -> Iterator[str]:
        """One sentence for each thing that is wrong with a value; null is what was left out."""
        name = self.output_variable_name
        if value is None:
            yield f"required field is missing: {name}"
        elif self.held(value) is None:
            yield f"invalid type for field: {name}"
        elif self.choices is not None and value not in self.choices:
            yield f"field '{name}' has value outside options"

    def held(self, value: JsonValue) -> JsonValue | None:
        """The value as later nodes see it; None for what does not fit."""
        if self.type == "file":
            return to_file(value)
        if self.type == "file-list":
            if not isinstance(value, list):
                return None
            files = [to_file(item) for item in cast("list[Any]", value)]
            return None if None in files else files
        return value if isinstance(value, str) else None


class UserAction(_Part):
    """A button; its ``id`` is the handle that it takes."""

    id: str
    title: str = ""
    button_style: str = "default"


class DeliveryMethod(_Part):
    """How a person hears of the form; ``config`` has an e-mail's recipients, subject and body."""

    type: str
    enabled: bool = True
    id: str | None = None
    config: JsonValue = None


def pieces(content: str) -> tuple[str, ...]:
    """The text cut at the places of inputs: text, name, text, …, text."""
    return tuple(_PLACE.split(content))


def with_places(cut: Iterable[str]) -> str:
    """The text as a front end gets it: with the places of its inputs."""
    return "".join(f"{{{{#$outputs.{s}#}}}}" if i % 2 else s for i, s in enumerate(cut))


def filled(cut: Iterable[str], values: Mapping[str, JsonValue]) -> str:
    """The text with its places filled in; nothing for an input that has no value."""
    return "".join(_shown(values.get(s)) if i % 2 else s for i, s in enumerate(cut))


def _shown(value: JsonValue) -> str:
    """Files by their names."""
    if is_file(value):
        return display(file_attribute(value, "name"))
    if isinstance(value, list):
        return ", ".join(map(_shown, cast("list[Any]", value)))
    return display(value)


def _choice(option: JsonValue) -> str:
    if isinstance(option, dict):
        drawn = cast("dict[str, Any]", option)
        return display(next((drawn[key] for key in _OPTION_KEYS if key in drawn), None))
    return display(option)

"""The fields of a native form, and what fits into them (spec/graph.md 9.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from xworkflow.domain.selectors import parse_selector
from xworkflow.domain.values import JsonValue, is_number, to_file
from xworkflow.nodes.linear_pattern import TooLongError, check_pattern, found_in

FieldType = Literal[
    "text", "textarea", "date", "email", "number", "checkbox",
    "radio", "dropdown", "multi_select", "json", "file", "hidden",
]  # fmt: skip

WITH_OPTIONS: Final = frozenset({"radio", "dropdown", "multi_select"})


def _optional_selector(raw: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    return parse_selector(raw) if raw else None


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class FieldOption(_Part):
    value: str
    label: str = ""


class FieldValidation(_Part):
    """Lengths count characters; ``pattern`` may match anywhere in the text. ``error_message``
    stands in for each of their sentences."""

    min_length: int | None = None
    max_length: int | None = None
    pattern: Annotated[str, AfterValidator(check_pattern)] | None = None
    min_value: float | None = None
    max_value: float | None = None
    error_message: str | None = None


class FormField(_Part):
    """``default_value_selector`` is asked where there is no ``default_value``."""

    variable: str
    field_type: FieldType
    label: str = ""
    required: bool = False
    default_value: JsonValue = None
    default_value_selector: Annotated[
        tuple[str, ...] | None, BeforeValidator(_optional_selector)
    ] = None
    placeholder: str | None = None
    description: str | None = None
    validation: FieldValidation | None = None
    options: tuple[FieldOption, ...] | None = None

    def problems(self, value: JsonValue) -> Iterator[str]:
        """One sentence for each thing that is wrong with a value; null is what was left out."""
        name = self.variable
        if value is None:
            if self.required:
                yield f"required field is missing: {name}"
            return
        if not _FITS[self.field_type](value):
            yield f"invalid type for field: {name}"
            return
        if self.field_type in WITH_OPTIONS:
            known = {option.value for option in self.options or ()}
            chosen = cast("list[str]", value if isinstance(value, list) else [value])
            if not known.issuperset(chosen):
                yield f"field '{name}' has value outside options"
        if self.validation is not None:
            yield from _invalid(name, value, self.validation)

    def held(self, value: JsonValue) -> JsonValue:
        """The value as later nodes see it: a file has a file's attributes."""
        return (to_file(value) or value) if self.field_type == "file" else value


def _invalid(name: str, value: JsonValue, rules: FieldValidation) -> Iterator[str]:
    found = _wrong_text(value, rules) if isinstance(value, str) else _wrong_number(value, rules)
    for problem in found:
        yield rules.error_message or f"field '{name}' {problem}"


def _wrong_text(text: str, rules: FieldValidation) -> Iterator[str]:
    if rules.min_length is not None and len(text) < rules.min_length:
        yield f"is shorter than {rules.min_length} characters"
    if rules.max_length is not None and len(text) > rules.max_length:
        yield f"is longer than {rules.max_length} characters"
    elif rules.pattern is not None:
        try:
            if not found_in(rules.pattern, text):
                yield "does not match its pattern"
        except TooLongError:
            yield "is too long for its pattern"


def _wrong_number(value: JsonValue, rules: FieldValidation) -> Iterator[str]:
    if not is_number(value):
        return
    if rules.min_value is not None and value < rules.min_value:
        yield f"is less than {rules.min_value:g}"
    if rules.max_value is not None and value > rules.max_value:
        yield f"is greater than {rules.max_value:g}"


def _is_text(value: JsonValue) -> bool:
    return isinstance(value, str)


def _is_object(value: JsonValue) -> bool:
    return isinstance(value, dict)


def _is_texts(value: JsonValue) -> bool:
    return isinstance(value, list) and all(isinstance(i, str) for i in cast("list[Any]", value))


_FITS: Final[Mapping[FieldType, Callable[[JsonValue], bool]]] = MappingProxyType(
    {
        **dict.fromkeys(("text", "textarea", "date", "email", "radio", "dropdown"), _is_text),
        "number": is_number,
        "checkbox": lambda value: isinstance(value, bool),
        "multi_select": _is_texts,
        "json": _is_object,
        "file": _is_object,
        "hidden": lambda _: True,
    }
)

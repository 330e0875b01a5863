"""Conditions of if-else nodes and loops (spec/graph.md 4; Dify's: 11 and spec/dify.md E2).

The *actual* value comes from the pool, the *expected* one is the literal ``value``. All operators
answer for values of any kind; the numeric ones answer with a ``Mismatch`` where a side is no
number. Dify differs in four points only:

* text that reads as a number counts as one, on both sides (its exports write all numbers as text),
  and a null satisfies no numeric operator;
* a boolean is ``true`` or ``false`` in any case, also under ``=`` and ``≠``;
* placeholders in the expected value are filled in;
* a condition on files may carry ``sub_variable_condition``, a group about each file's attributes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias, cast

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from xworkflow.domain import placeholders
from xworkflow.domain.operators import (
    Operator,
    TextOperator,
    camel_case,
    compare,
    holds,
    is_numeric,
    parse_operator,
)
from xworkflow.domain.placeholders import Lookup
from xworkflow.domain.pool import file_attribute
from xworkflow.domain.selectors import Dialect, SelectorField
from xworkflow.domain.values import JsonValue, display, is_file, is_number, kind_of

LogicalOperator = Literal["and", "or"]
OperatorField = Annotated[Operator, BeforeValidator(parse_operator)]
"""An operator in a data model; accepts every spelling, keeps the snake_case one."""

ELSE: Final = "false"
"""The handle that is taken when no case holds."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A numeric operator met something else than a number.

    ``actual`` is the kind of the side at fault, the pool's value before the expected one.
    """

    actual: str
    operator: Operator

    def __str__(self) -> str:
        """The text of the type error under strict security."""
        found = f"expected number, got {self.actual}"
        return f"Condition type mismatch: {found} for {camel_case(self.operator)}"


Verdict: TypeAlias = bool | Mismatch


class _Comparison(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    comparison_operator: OperatorField
    value: JsonValue = None
    var_type: str | None = Field(None, validation_alias=AliasChoices("var_type", "varType"))


class SubCondition(_Comparison):
    """A comparison with one attribute of a file, say ``type`` or ``size`` (Dify)."""

    key: str


class SubConditions(BaseModel):
    """What the files of a list must satisfy, each on its own (Dify)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    logical_operator: LogicalOperator = "and"
    conditions: tuple[SubCondition, ...] = ()


class Condition(_Comparison):
    """One comparison. ``value`` is a literal, never a selector."""

    variable_selector: SelectorField
    sub_variable_condition: SubConditions | None = None

    def texts(self) -> Iterator[str]:
        """Every text that Dify's dialect fills the placeholders of."""
        group = self.sub_variable_condition
        for compared in (self, *(group.conditions if group else ())):
            expected: JsonValue = compared.value
            values = cast("list[Any]", expected) if isinstance(expected, list) else [expected]
            yield from (value for value in values if isinstance(value, str))


class Case(BaseModel):
    """A branch of an if-else node; ``case_id`` is its handle."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    case_id: str
    logical_operator: LogicalOperator
    conditions: tuple[Condition, ...] = ()


def select_case(
    cases: Iterable[Case], get: Lookup, dialect: Dialect
) -> tuple[str, Mismatch | None]:
    """The id of the first case that holds, else ``false``; a mismatch ends the search."""
    for case in cases:
        verdict = evaluate_group(case.conditions, case.logical_operator, get, dialect)
        if verdict is True:
            return case.case_id, None
        if isinstance(verdict, Mismatch):
            return ELSE, verdict
    return ELSE, None


def evaluate_group(
    conditions: Iterable[Condition],
    logical_operator: LogicalOperator,
    get: Lookup,
    dialect: Dialect,
) -> Verdict:
    """``and``: the first verdict that is not true. ``or``: true, else a mismatch, else false."""
    return _combine(
        (evaluate_condition(condition, get, dialect) for condition in conditions), logical_operator
    )


def evaluate_condition(condition: Condition, get: Lookup, dialect: Dialect) -> Verdict:
    """Compare one value of the pool."""
    actual = get(condition.variable_selector)
    if dialect == "native":
        return _native(condition.comparison_operator, actual, condition.value)
    files = _files(actual)
    group = condition.sub_variable_condition
    if files is not None and group is not None and group.conditions:
        return _about_files(condition.comparison_operator, files, group, get)
    return _dify(condition.comparison_operator, actual, _filled(condition.value, get))


def compare_with(comparison: SubCondition, actual: JsonValue, get: Lookup) -> Verdict:
    """Compare a value at hand, by the rules of Dify's dialect."""
    return _dify(comparison.comparison_operator, actual, _filled(comparison.value, get))


def _combine(verdicts: Iterable[Verdict], logical_operator: LogicalOperator) -> Verdict:
    """Asks for no more verdicts than it needs."""
    if logical_operator == "and":
        return next((verdict for verdict in verdicts if verdict is not True), True)
    mismatch: Mismatch | None = None
    for verdict in verdicts:
        if verdict is True:
            return True
        if isinstance(verdict, Mismatch):
            mismatch = verdict
    return mismatch or False


def _native(operator: Operator, actual: JsonValue, expected: JsonValue) -> Verdict:
    if not is_numeric(operator):
        return holds(cast("TextOperator", operator), actual, expected)
    for side in (actual, expected):
        if not is_number(side):
            return _mismatch(side, operator)
    return compare(operator, _float(actual), _float(expected))


def _dify(operator: Operator, actual: JsonValue, expected: JsonValue) -> Verdict:
    if isinstance(actual, bool) and operator in _EQUALITIES:
        return (actual is _truth(expected)) is _EQUALITIES[operator]
    if not is_numeric(operator):
        return holds(cast("TextOperator", operator), actual, expected)
    if actual is None:
        return False
    return _native(operator, _read_number(actual), _read_number(expected))


_EQUALITIES: Final[dict[Operator, bool]] = {
    "is": True,
    "equal": True,
    "is_not": False,
    "not_equal": False,
}


def _truth(expected: JsonValue) -> bool | None:
    """The boolean that an expected value stands for."""
    text = display(expected).strip().lower()
    return {"true": True, "1": True, "false": False, "0": False}.get(text)


def _read_number(value: JsonValue) -> JsonValue:
    """The number that a text spells; anything else as it is."""
    if not isinstance(value, str) or "_" in value:
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    return number if math.isfinite(number) else value


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer literal beyond all floats
        return math.inf if number > 0 else -math.inf


def _mismatch(value: JsonValue, operator: Operator) -> Mismatch:
    kind = kind_of(value)
    return Mismatch("object" if kind == "file" else kind, operator)


def _filled(expected: JsonValue, get: Lookup) -> JsonValue:
    """The expected value with the placeholders of its texts filled in."""
    if isinstance(expected, str):
        return placeholders.render(expected, get, "dify")
    if isinstance(expected, list):
        return [_filled(item, get) for item in cast("list[Any]", expected)]
    return expected


def _files(actual: JsonValue) -> list[JsonValue] | None:
    """The files of a file or of a list of nothing but files; None for anything else."""
    items = cast("list[Any]", actual) if isinstance(actual, list) else [actual]
    return items if all(map(is_file, items)) else None


def _about_files(
    operator: Operator, files: list[JsonValue], group: SubConditions, get: Lookup
) -> Verdict:
    """``contains``: some file satisfies the group. ``all_of``: each. ``not_contains``: none."""
    if operator not in ("contains", "not_contains", "all_of"):
        return _dify(operator, files, None)
    verdicts = (_about_file(file, group, get) for file in files)
    verdict = _combine(verdicts, "and" if operator == "all_of" else "or")
    if operator == "not_contains" and isinstance(verdict, bool):
        return not verdict
    return verdict


def _about_file(file: JsonValue, group: SubConditions, get: Lookup) -> Verdict:
    verdicts = (compare_with(sub, file_attribute(file, sub.key), get) for sub in group.conditions)
    return _combine(verdicts, group.logical_operator)

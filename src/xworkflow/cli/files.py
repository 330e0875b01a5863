"""Files that users name: workflows and inputs. Every problem is one sentence with the place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from xworkflow.domain.diagnostics import Report
from xworkflow.domain.loading import Loaded, format_of, read
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.values import JsonValue
from xworkflow.engine.validation import validate
from xworkflow.errors import InputError, ValidationFailed
from xworkflow.nodes.start import check_inputs, start_variables

_JSON_TYPES = ("number", "boolean", "checkbox", "object", "json_object")


def read_workflow(path: Path) -> Loaded:
    """What a workflow file holds, with the loader's diagnostics. Raises InputError."""
    return read(_bytes(path), format_of(path.name), name=path.stem)


def report_on(loaded: Loaded) -> Report:
    """The loader's diagnostics and those of validation."""
    if loaded.schema is None:
        return Report(diagnostics=loaded.diagnostics)
    found = validate(loaded.schema)
    return Report(diagnostics=(*loaded.diagnostics, *found.diagnostics))


def read_valid(path: Path) -> WorkflowSchema:
    """The schema of a workflow file, with a name. Raises InputError or ValidationFailed."""
    loaded = read_workflow(path)
    report = report_on(loaded)
    if loaded.schema is None or not report.is_valid:
        raise ValidationFailed(report, str(path))
    return loaded.schema


def read_inputs(
    schema: WorkflowSchema, workflow: Path, pairs: Sequence[str], file: Path | None
) -> dict[str, JsonValue]:
    """Inputs from a JSON file and ``key=value`` pairs; pairs win. Raises InputError.

    A pair's value is text, or JSON where the start node declares a type that is not text.
    """
    inputs: dict[str, JsonValue] = {} if file is None else _object(file)
    declared = start_variables(schema)
    types = {variable.variable: variable.type for variable in declared}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError((f"--input '{pair}' is not of the form key=value",))
        inputs[key] = _typed(key, value, types.get(key, "string"))
    problems = check_inputs(declared, inputs, schema.dialect)
    if problems:
        raise InputError(tuple(f"{workflow}: {problem}" for problem in problems))
    return inputs


def value_of(text: str) -> JsonValue:
    """What a text on a command line stands for: its JSON value, or else itself."""
    try:
        return json_of(text)
    except ValueError:
        return text


def _typed(key: str, value: str, declared: str) -> JsonValue:
    if declared not in _JSON_TYPES and not declared.startswith(("array", "file")):
        return _text(key, value)
    try:
        return json_of(value)
    except ValueError:
        text = f"--input {key}: '{value}' is not JSON, but {key} is of type {declared}"
        raise InputError((text,)) from None


def _text(key: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no UTF-8
        raise InputError((f"--input {key}: the value is not UTF-8",)) from None
    return value


def _object(path: Path) -> dict[str, JsonValue]:
    try:
        value = json_of(_bytes(path))
    except ValueError as error:
        raise InputError((f"{path}: not JSON: {error}",)) from None
    if not isinstance(value, dict):
        raise InputError((f"{path}: the inputs are a JSON object, by variable",))
    return cast("dict[str, JsonValue]", value)


def json_of(text: str | bytes) -> JsonValue:
    """The value of a JSON text, strictly: Python also reads NaN and half surrogate pairs.

    Raises ValueError.
    """

    def refuse(name: str) -> float:
        raise ValueError(f"{name} is no JSON value")

    try:
        value = json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("it nests too deep") from None
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError((f"{path}: there is no such file",)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError((f"{path}: cannot be read: {reason}",)) from None

"""How a command ends that an error has ended: sentences for people, one object for machines."""

from __future__ import annotations

import logging
from typing import Any

from xworkflow.cli.exit_codes import ExitCode, code_of
from xworkflow.cli.printing import print_error, print_report
from xworkflow.domain.diagnostics import Report
from xworkflow.errors import ConfigurationError, EngineError, InputError, ValidationFailed


def print_failure(error: Exception) -> ExitCode:
    """Say on stderr what is wrong, a sentence for each problem; returns the exit code."""
    if isinstance(error, ValidationFailed):
        print_report(error.report, error.source)
    elif isinstance(error, EngineError):
        for problem in _problems(error):
            print_error(problem)
    else:
        logging.getLogger("xworkflow").error("a fault of xworkflow itself", exc_info=error)
        print_error(f"{_problems(error)[0]}; `xworkflow -v …` shows where. Please report it.")
    return code_of(error)


def failure_object(error: Exception) -> dict[str, Any]:
    """The status, error and diagnostics of ``--json`` for what never became a result."""
    report = error.report if isinstance(error, ValidationFailed) else Report()
    return {
        "status": "refused" if code_of(error) == ExitCode.REFUSED else "error",
        "error": "; ".join(_problems(error)),
        "diagnostics": report.to_json()["diagnostics"],
    }


def _problems(error: Exception) -> tuple[str, ...]:
    if isinstance(error, InputError | ConfigurationError):
        return error.problems
    if isinstance(error, ValidationFailed):
        count = len(error.report.errors)
        return (f"{error.source}: refused by validation, {count} error{'s'[: count != 1]}",)
    return (str(error) if isinstance(error, EngineError) else f"internal error: {error!r}",)

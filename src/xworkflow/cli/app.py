"""The command line's frame: verbs, errors in one sentence, one place to leave."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine, Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.exceptions import Exit, TyperException

from xworkflow.cli.exit_codes import ExitCode, leave
from xworkflow.cli.printing import print_error, print_report
from xworkflow.errors import (
    DslParseError,
    EngineError,
    InfrastructureError,
    InputError,
    MisuseError,
    ValidationFailed,
)

app = typer.Typer(
    name="xworkflow",
    help="Run drawn LLM workflows (Dify exports, or our own DSL) durably on Temporal.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def common(
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Show the log of the SDK and of the worker.")
    ] = False,
) -> None:
    """Options of every command."""
    _set_sdk_log("INFO" if verbose else "ERROR")
    logging.basicConfig(
        level=logging.INFO if verbose else logging.CRITICAL,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )


def _set_sdk_log(level: str) -> None:
    """The SDK's core logs by itself; under load it would flood the terminal with its warnings."""
    from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

    log_filter = TelemetryFilter(core_level=level, other_level=level)
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(log_filter))))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line, and leave with its exit code."""
    leave(invoke(sys.argv[1:] if arguments is None else arguments))


def invoke(arguments: Sequence[str]) -> int:
    """Run a command line; returns its exit code. Errors end as one sentence on stderr."""
    from xworkflow.cli import verbs

    verbs.register(app)
    try:
        returned = app(list(arguments), standalone_mode=False)
    except Exit as end:
        return end.exit_code
    except TyperException as error:
        print_error(_usage(error))
        return ExitCode.REFUSED
    except KeyboardInterrupt:
        return ExitCode.DETACHED
    except ValidationFailed as error:
        print_report(error.report, "the workflow")
        return ExitCode.REFUSED
    except InputError as error:
        for problem in error.problems:
            print_error(problem)
        return ExitCode.REFUSED
    except (DslParseError, MisuseError) as error:
        print_error(str(error))
        return ExitCode.REFUSED
    except InfrastructureError as error:
        print_error(str(error))
        return ExitCode.INFRASTRUCTURE
    except EngineError as error:
        print_error(str(error))
        return ExitCode.FAILED
    except Exception as error:  # noqa: BLE001 - a fault of ours; the user gets one sentence
        logging.getLogger("xworkflow").exception("a fault of xworkflow itself")
        print_error(f"internal error: {error!r}; `xworkflow -v …` shows where. Please report it.")
        return ExitCode.FAILED
    return int(returned) if isinstance(returned, int) else ExitCode.OK


def run_async(work: Coroutine[Any, Any, int]) -> int:
    """Run a command's work in an event loop of its own."""
    return asyncio.run(work)


def _usage(error: TyperException) -> str:
    """A usage error in one sentence, with the way to the help."""
    format_message = getattr(error, "format_message", None)
    text = format_message() if callable(format_message) else str(error)
    return f"{str(text).rstrip('.')}. See: xworkflow --help"

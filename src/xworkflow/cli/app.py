"""The command line's frame: verbs, errors in one sentence, one place to leave."""

from __future__ import annotations

import logging
import sys
from collections.abc import Coroutine, Sequence
from io import TextIOWrapper
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from typer.exceptions import Exit, TyperException

from xworkflow.cli.exit_codes import ExitCode, leave
from xworkflow.cli.failures import print_failure
from xworkflow.cli.printing import print_error

T = TypeVar("T")

app = typer.Typer(
    name="xworkflow",
    help="Run drawn LLM workflows (Dify exports, or our own DSL) durably on Temporal.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        sys.stdout.write(f"xworkflow {version('xworkflow')}\n")
        raise Exit


@app.callback()
def common(
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Show the log of the SDK and of xworkflow.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version."),
    ] = False,
) -> None:
    """Options of every command."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.CRITICAL,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line, and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # a character that the terminal's encoding lacks is shown by its code
            stream.reconfigure(errors="backslashreplace")
    leave(invoke(sys.argv[1:] if arguments is None else arguments))


def invoke(arguments: Sequence[str]) -> int:
    """Run a command line; returns its exit code. Errors end as one sentence on stderr."""
    from xworkflow.cli import verbs

    verbs.register(app)
    try:
        returned = app(list(arguments), prog_name="xworkflow", standalone_mode=False)
    except Exit as end:
        return end.exit_code
    except TyperException as error:
        return _misused(error)
    except KeyboardInterrupt:
        return ExitCode.DETACHED
    except SystemExit as end:  # completion scripts, and a broken pipe
        return end.code if isinstance(end.code, int) else ExitCode.OK
    except Exception as error:  # noqa: BLE001 - a fault of ours, too, ends as one sentence
        return print_failure(error)
    return int(returned) if isinstance(returned, int) else ExitCode.OK


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work in an event loop of its own."""
    import asyncio

    return asyncio.run(work)


def _misused(error: TyperException) -> ExitCode:
    """A usage error in one sentence, with the way to the help; without a text that is shown."""
    text = error.format_message().rstrip(".")
    if text:
        print_error(f"{text}. See: xworkflow --help")
    return ExitCode.REFUSED

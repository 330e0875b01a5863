"""What somebody types, line by line, while the command goes on with its work."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
import threading
from collections.abc import Generator
from typing import Final

PROMPT: Final = "(debug) "


async def next_line() -> str | None:
    """The next line of stdin without its end; None when there are no more.

    Read by a thread of its own, which nobody waits for: a terminal gives nothing until somebody
    types. At a terminal the line can be edited, and those before it come back with the arrow keys.
    """
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str | None] = loop.create_future()

    def give(text: str | None) -> None:
        if not line.done():
            line.set_result(text)

    def read() -> None:
        text = _read()
        with contextlib.suppress(RuntimeError):  # the command has ended meanwhile
            loop.call_soon_threadsafe(give, text)

    threading.Thread(target=read, daemon=True).start()
    return await line


def _read() -> str | None:
    if sys.stdin.isatty() and sys.stdout.isatty():
        with contextlib.suppress(ImportError):  # not every Python has it
            importlib.import_module("readline")  # gives input() line editing and a history
        try:
            return input(PROMPT)
        except EOFError:
            return None
    line = sys.stdin.readline()
    return line.rstrip("\r\n") if line else None


@contextlib.contextmanager
def terminal_restored() -> Generator[None]:
    """Leave the terminal as it was: a command that ends while a line is edited does not."""
    try:
        import termios
    except ImportError:  # not a POSIX system
        yield
        return
    try:
        before = termios.tcgetattr(sys.stdin)
    except (OSError, ValueError, termios.error):
        yield
        return
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

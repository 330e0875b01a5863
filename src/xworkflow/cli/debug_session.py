"""One sitting at the debugger: follows the run, and asks at each pause what is to be done."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from typing import Any, Final

from xworkflow.cli.debug_commands import NodeNames, Typed, assignment, parse
from xworkflow.cli.debug_screen import Screen
from xworkflow.cli.place import Place
from xworkflow.cli.printing import errors, print_note
from xworkflow.cli.progress import Progress
from xworkflow.cli.run_result import Watched
from xworkflow.cli.run_view import RunView
from xworkflow.cli.typed_lines import next_line, terminal_restored
from xworkflow.cli.watch import Follower, at_terminal, watched_of
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.history import HistoryFeed
from xworkflow.client.standing import Standing
from xworkflow.client.status import Paused, WaitingForInput
from xworkflow.domain.debugging import DebugCommand
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.wire import DebugReport
from xworkflow.errors import InputError

_MOVES: Final = ("step", "continue", "abort")


async def debug(
    handle: WorkflowHandle, place: Place, screen: Screen, progress: Progress, past: Standing | None
) -> Watched:
    """Debug a run until it is over, or until its user leaves it; Ctrl-C never interrupts it."""
    interrupted = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted.set)
    leaves = () if at_terminal() else (WaitingForInput,)
    follower = Follower(handle, place, progress, leaves=leaves, past=past)
    with terminal_restored():
        sitting = asyncio.create_task(_Session(handle, follower, screen, past).run())
        leaving = asyncio.create_task(interrupted.wait())
        await asyncio.wait({sitting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if sitting.done():
            watched = sitting.result()
        else:
            sitting.cancel()
            watched = watched_of(handle, place)
            if at_terminal():
                errors().print()  # the line that was being typed ends here
    if watched.status is None or isinstance(watched.status, Paused):
        print_note(
            f"the run waits for you. Come back with: "
            f"xworkflow debug --attach {handle.execution_id}{place.as_option}"
        )
    return watched


class _Session:
    def __init__(
        self, handle: WorkflowHandle, follower: Follower, screen: Screen, past: Standing | None
    ) -> None:
        self._handle = handle
        self._follower = follower
        self._screen = screen
        self._past = past or Standing()
        self._view = RunView(handle.execution_id)
        self._outputs: dict[str, Any] = {}
        self._feed: HistoryFeed | None = None
        self._last: Typed | None = None

    async def run(self) -> Watched:
        watched = self._follower.watched
        async for feed, new in self._handle.read(follow=True):
            self._view.take(feed, new)
            if await self._follower.take(feed, new):
                return watched
            for event in new:
                if not await self._take(feed, event):
                    watched.status = Paused()
                    return watched
        watched.status = await self._handle.wait()
        return watched

    async def _take(self, feed: HistoryFeed, event: GraphEngineEvent) -> bool:
        """Follow one event; False when there is nobody any more who says how to go on."""
        if event.seq >= self._past.seen.get(feed.workflow_id, 0):
            self._screen.event(event)
        if feed.workflow_id != self._handle.execution_id:
            return True
        self._feed = feed
        if event.type == "node_run_succeeded":
            self._outputs = event.data["outputs"]
        return event.type != "debug_paused" or await self._ask(event)

    async def _ask(self, event: GraphEngineEvent) -> bool:
        """Ask until the run goes on; False when there are no more lines."""
        report = await self._handle.debug()
        here = (report.node_id, report.phase) == (event.data["node_id"], event.data["phase"])
        if not report.paused or not here:
            return True  # it is past: somebody has gone on from there
        self._show(report)
        while True:
            line = await next_line()
            if line is None:
                return False
            try:
                typed = parse(line) or (self._last if at_terminal() and not line.strip() else None)
                if typed is not None and await self._do(typed, report):
                    self._last = typed
                    return True
            except InputError as error:
                for problem in error.problems:
                    self._screen.refused(problem)
                now = await self._handle.debug()
                if now.pauses != report.pauses or not now.paused:
                    return True  # another debugger of the same run was quicker

    async def _do(self, typed: Typed, report: DebugReport) -> bool:
        """Carry a command out; whether the run goes on."""
        match typed.verb:
            case "step" | "continue":
                await self._handle.debug_command(DebugCommand(action=typed.verb))
            case "abort":
                await self._handle.debug_command(
                    DebugCommand(action="abort", reason=typed.rest or None)
                )
            case "break" | "delete":
                await self._change_breakpoints(typed)
            case "print":
                await self._print(typed.rest)
            case "set":
                name, value = assignment(typed.rest)
                space, variable = self._names().variable(name)
                await self._handle.update_variables({f"{space}.{variable}": value})
                self._screen.written(f"{space}.{variable}")
            case "list":
                self._view.complete()
                self._screen.nodes(self._view, await self._handle.debug())
            case "where":
                self._show(report)
            case "help":
                self._screen.help()
        return typed.verb in _MOVES

    async def _change_breakpoints(self, typed: Typed) -> None:
        if typed.verb == "break" and not typed.rest:
            report = await self._handle.debug()
        elif not typed.rest:
            report = await self._handle.debug_command(DebugCommand(action="clear_breakpoints"))
        else:
            action = "add_breakpoint" if typed.verb == "break" else "remove_breakpoint"
            node = self._names().find(typed.rest)
            report = await self._handle.debug_command(DebugCommand(action=action, node_id=node))
        self._screen.breakpoints(report.breakpoints)

    async def _print(self, name: str) -> None:
        if not name:
            self._screen.variables(await self._handle.variables())
            return
        space, path = self._names().variable(name)
        found = await self._handle.variables(space)
        if not found:
            raise InputError((f"'{space}' has no variables",))
        if not path:
            self._screen.value(space, found)
            return
        variable, *keys = path.split(".")
        if variable not in found:
            known = ", ".join(found)
            raise InputError((f"'{space}' has no variable '{variable}'; it has {known}",))
        self._screen.value(
            f"{space}.{path}", VariablePool({space: found}).get((space, variable, *keys))
        )

    def _show(self, report: DebugReport) -> None:
        node_id = report.node_id or ""
        details = self._outputs if report.phase == "after" else self._reads(node_id)
        self._screen.paused(report, self._names().title(node_id), details)

    def _reads(self, node_id: str) -> Mapping[str, Any]:
        """The values that a node reads, by their selectors."""
        driver = None if self._feed is None else self._feed.driver
        if driver is None:
            return {}
        pool = driver.state.pool
        return {".".join(s): pool.get(s) for s in driver.plan.node(node_id).reads or ()}

    def _names(self) -> NodeNames:
        driver = None if self._feed is None else self._feed.driver
        nodes = () if driver is None else driver.plan.nodes
        return NodeNames({node.id: node.title for node in nodes})

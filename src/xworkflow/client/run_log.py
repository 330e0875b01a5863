"""The log of a whole run: the histories of the run, its sub-graphs and all that continued them.

Each workflow's events are a function of its history (``HistoryFeed``). This puts them into one
order: a sub-graph's events come after its container has started and before it ends. What happened
side by side is ordered by its time (``whole``), and while it is followed live, by when it could be
read. A cursor tells how far each of them was read, so that whoever goes on with one sees the rest,
and nothing twice, in whatever order it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from temporalio.client import Client

from xworkflow.client import cursor
from xworkflow.client.history import ChildStarted, HistoryFeed
from xworkflow.domain.deltas import StreamItem
from xworkflow.domain.events import UNNUMBERED, GraphEngineEvent
from xworkflow.engine.composing import Composer
from xworkflow.ports import StreamStore

Batch = tuple[HistoryFeed, list[GraphEngineEvent]]

_BACKLOG = 256
"""Batches that may wait for a slow reader before the histories are read no further."""


@dataclass(slots=True)
class _Workflow:
    """One workflow of the run, being read."""

    workflow_id: str
    key: str
    skip: int
    """Events that whoever reads has seen already."""
    taken: int = 0
    readers: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    """The readers of its sub-graphs, by workflow id."""
    unread: list[ChildStarted] = field(default_factory=list[ChildStarted])
    """Sub-graphs met among events that were seen already: read only if they have not ended."""
    sealed: list[str] = field(default_factory=list[str])
    """Sub-graphs that have ended since its last event: the next one makes their counts needless."""
    log: list[_Told | _Began | _Ended] = field(default_factory=list["_Told | _Began | _Ended"])
    """What it tells, where the whole is put into order at the end."""
    composers: dict[int, Composer] = field(default_factory=dict[int, Composer])
    feed: HistoryFeed | None = None
    """Of the history that is read now."""
    chunks: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Of each value that comes in pieces: how often it began again, and the pieces since then."""


@dataclass(frozen=True, slots=True)
class _Told:
    """An event that is new to whoever reads; ``value`` is what a chunk is a piece of."""

    event: GraphEngineEvent
    number: int
    value: str | None = None
    chunks: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class _Began:
    child: _Workflow


@dataclass(frozen=True, slots=True)
class _Ended:
    child_id: str


class RunLog:
    """Reads one run once: ``follow`` or ``whole`` is called once."""

    def __init__(self, client: Client, execution_id: str, after: str = "") -> None:
        self._client = client
        self._id = execution_id
        self._seen = cursor.decode(after) if after else cursor.Place()
        self._place = cursor.decode(after) if after else cursor.Place()
        self._waits = False
        self._out: asyncio.Queue[Batch | BaseException | None] | None = None
        self._nodes: dict[str, tuple[_Workflow, int, str]] = {}
        """(workflow, lane, node id) of each execution of a node that has started."""
        self._early: dict[str, list[StreamItem]] = {}
        """Live pieces that were quicker than the history."""

    async def follow(
        self, run_id: str, *, wait: bool = True, live: StreamStore | None = None
    ) -> AsyncGenerator[Batch]:
        """Batches of events with the feed that they come from, each event with its cursor.

        Also batches without events: one after each event of a history. With ``wait`` until the run
        is over, else up to what has happened so far. With ``live`` the pieces of what models say
        come when they are said, else when their node has ended.
        """
        self._waits = wait
        out = self._out = asyncio.Queue[Batch | BaseException | None](_BACKLOG)
        reading = [asyncio.create_task(self._read_root(self._root(), run_id, out))]
        if live is not None:
            reading.append(asyncio.create_task(self._read_live(live, out)))
        try:
            while True:
                found = await out.get()
                if found is None:
                    return
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    async def whole(self, run_id: str) -> list[GraphEngineEvent]:
        """All that has happened so far, what was side by side in the order of its times: the same
        list for every reader of a run that is over."""
        root = self._root()
        await self._read_workflow(root, run_id)
        return list(self._merged(root))

    def _root(self) -> _Workflow:
        return _Workflow(self._id, cursor.ROOT, self._seen.events.get(cursor.ROOT, 0))

    # ---- reading histories

    async def _read_root(
        self, root: _Workflow, run_id: str, out: asyncio.Queue[Batch | BaseException | None]
    ) -> None:
        try:
            await self._read_workflow(root, run_id)
        except Exception as error:  # noqa: BLE001 - raised where the reader waits
            await out.put(error)
        else:
            await out.put(None)

    async def _read_workflow(self, workflow: _Workflow, run_id: str) -> None:
        """Read all histories of one workflow, and start readers of its sub-graphs."""
        following: str | None = run_id
        try:
            while following is not None:
                feed = workflow.feed = HistoryFeed(
                    self._client.data_converter, workflow.workflow_id, composers=workflow.composers
                )
                handle = self._client.get_workflow_handle(workflow.workflow_id, run_id=following)
                events = handle.fetch_history_events(wait_new_event=self._waits)
                async for event in events:
                    if feed.settles_before(event):
                        await self._tell(workflow, feed, await feed.settle())
                    await self._tell(workflow, feed, await feed.take(event))
                    at_end = events.current_page_index == len(events.current_page or ())
                    if self._waits and at_end and feed.holds:
                        # the next event may be long in coming, and is none of the same task
                        await self._tell(workflow, feed, await feed.settle())
                if feed.holds:
                    await self._tell(workflow, feed, await feed.settle())
                following = None if feed.closed is None else feed.closed.next_run_id
            await asyncio.gather(*workflow.readers.values())
        finally:
            for task in workflow.readers.values():
                task.cancel()

    async def _tell(
        self, workflow: _Workflow, feed: HistoryFeed, new: list[GraphEngineEvent]
    ) -> None:
        if feed.child_ended is not None:
            await self._child_ended(workflow, feed.child_ended)
        told = [each for event in new if (each := self._new(workflow, event)) is not None]
        if self._out is None:
            workflow.log += told
        else:
            await self._out.put((feed, [self._stamped(workflow, each) for each in told]))
            await self._tell_early(workflow, feed, new)
        if feed.child_started is not None:
            workflow.unread.append(feed.child_started)
        if workflow.taken >= workflow.skip:
            for child in workflow.unread:
                self._read_child(workflow, child)
            workflow.unread.clear()

    def _new(
        self, workflow: _Workflow, event: GraphEngineEvent, *, live: bool = False
    ) -> _Told | None:
        """Count an event; None for one that was seen already."""
        if event.type not in UNNUMBERED:
            workflow.taken += 1
            number = workflow.taken
            return _Told(event, number) if number > workflow.skip else None
        value = _value_of(event)
        again, count = workflow.chunks.get(value, (0, 0))
        seen = self._seen.chunks.get(workflow.key, {}).get(value, (0, 0))
        if event.type != "node_run_stream_chunk":
            again, count = again + 1, 0
        else:
            count += 1
            if not live and again < seen[0]:
                again = seen[0]  # in a history nothing ever began again
        workflow.chunks[value] = (again, count)
        return (
            _Told(event, workflow.taken, value, (again, count)) if (again, count) > seen else None
        )

    # ---- live pieces

    async def _read_live(
        self, live: StreamStore, out: asyncio.Queue[Batch | BaseException | None]
    ) -> None:
        try:
            async with aclosing(live.follow(self._id)) as items:
                async for item in items:
                    await self._take_live(item, out)
        except Exception as error:  # noqa: BLE001 - raised where the reader waits
            await out.put(error)

    async def _take_live(
        self, item: StreamItem, out: asyncio.Queue[Batch | BaseException | None]
    ) -> None:
        found = self._nodes.get(item.key.path)
        if found is None:
            self._early.setdefault(item.key.path, []).append(item)
            return
        workflow, lane, node_id = found
        composer, feed = workflow.composers.get(lane), workflow.feed
        if composer is None or feed is None or feed.carrier is None:
            return
        if item.is_replacement:
            contents = composer.replaced(node_id)
        else:
            contents = composer.delta(node_id, item.delta.variable, item.delta.text)
        events = [feed.carrier.chunk_event(lane, content) for content in contents]
        told = [t for event in events if (t := self._new(workflow, event, live=True)) is not None]
        if told:
            await out.put((feed, [self._stamped(workflow, each) for each in told]))

    async def _tell_early(
        self, workflow: _Workflow, feed: HistoryFeed, new: list[GraphEngineEvent]
    ) -> None:
        """Note the nodes that have started, and tell what they said before that was known."""
        for event in new:
            if event.type != "node_run_started":
                continue
            execution_id = event.data["id"]
            self._nodes[execution_id] = (workflow, *feed.started[execution_id])
            for item in self._early.pop(execution_id, ()):
                assert self._out is not None  # noqa: S101 - only a live reader has early pieces
                await self._take_live(item, self._out)

    def _read_child(self, workflow: _Workflow, child: ChildStarted) -> None:
        key = self._key(child.workflow_id)
        reading = _Workflow(child.workflow_id, key, self._seen.events.get(key, 0))
        workflow.log.append(_Began(reading))
        task = asyncio.create_task(self._read_workflow(reading, child.run_id))
        workflow.readers[child.workflow_id] = task

    async def _child_ended(self, workflow: _Workflow, child_id: str) -> None:
        """All that a sub-graph told comes before what its end has led to."""
        task = workflow.readers.pop(child_id, None)
        if task is not None:
            await task
        else:  # what followed its end was seen, and so was all of it
            workflow.unread = [c for c in workflow.unread if c.workflow_id != child_id]
        if self._out is None:
            workflow.log.append(_Ended(child_id))
        else:
            workflow.sealed.append(self._key(child_id))

    def _key(self, workflow_id: str) -> str:
        return workflow_id.removeprefix(f"{self._id}/")

    # ---- cursors, and the one order

    def _stamped(self, workflow: _Workflow, told: _Told) -> GraphEngineEvent:
        for key in workflow.sealed:
            self._place.forget(key)
        workflow.sealed.clear()
        if told.value is None:
            self._place.events[workflow.key] = told.number
        else:
            self._place.chunks.setdefault(workflow.key, {})[told.value] = told.chunks
        return replace(told.event, cursor=self._place.encode())

    def _merged(self, root: _Workflow) -> Iterator[GraphEngineEvent]:
        """The logs of all workflows as one. The earliest event comes first; a workflow that has
        seen the end of a sub-graph waits until all of that was told."""
        open_logs = {root.workflow_id: (root, iter(root.log))}
        heads: dict[str, _Told | _Ended] = {}
        while open_logs:
            for workflow_id in [w for w in open_logs if w not in heads]:
                self._next_head(workflow_id, open_logs, heads)
            for workflow_id, head in list(heads.items()):
                if isinstance(head, _Ended) and head.child_id not in open_logs:
                    open_logs[workflow_id][0].sealed.append(self._key(head.child_id))
                    del heads[workflow_id]
            if any(workflow_id not in heads for workflow_id in open_logs):
                continue
            told = [(h.event.at, w) for w, h in heads.items() if isinstance(h, _Told)]
            if told:
                _, earliest = min(told)
                head = heads.pop(earliest)
                assert isinstance(head, _Told)  # noqa: S101 - chosen from these
                yield self._stamped(open_logs[earliest][0], head)

    def _next_head(
        self,
        workflow_id: str,
        open_logs: dict[str, tuple[_Workflow, Iterator[_Told | _Began | _Ended]]],
        heads: dict[str, _Told | _Ended],
    ) -> None:
        for item in open_logs[workflow_id][1]:
            if not isinstance(item, _Began):
                heads[workflow_id] = item
                return
            open_logs[item.child.workflow_id] = (item.child, iter(item.child.log))
        del open_logs[workflow_id]


def _value_of(event: GraphEngineEvent) -> str:
    """What a chunk is a piece of, within its workflow."""
    inside = event.data.get("iteration_index", event.data.get("loop_index"))
    name = f"{event.data['node_id']}:{'.'.join(event.data['selector'])}"
    return name if inside is None else f"{inside}/{name}"

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
from dataclasses import dataclass, field, replace

from temporalio.client import Client

from xworkflow.client import cursor
from xworkflow.client.history import ChildStarted, HistoryFeed
from xworkflow.domain.events import GraphEngineEvent

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


@dataclass(frozen=True, slots=True)
class _Told:
    event: GraphEngineEvent
    number: int


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
        self._seen = cursor.decode(after) if after else {}
        self._counts: dict[str, int] = dict(self._seen)
        self._waits = False
        self._out: asyncio.Queue[Batch | BaseException | None] | None = None

    async def follow(self, run_id: str, *, wait: bool = True) -> AsyncGenerator[Batch]:
        """Batches of events with the feed that they come from, each event with its cursor.

        Also batches without events: one after each event of a history. With ``wait`` until the run
        is over, else up to what has happened so far.
        """
        self._waits = wait
        out = self._out = asyncio.Queue[Batch | BaseException | None](_BACKLOG)
        task = asyncio.create_task(self._read_root(self._root(), run_id, out))
        try:
            while True:
                found = await out.get()
                if found is None:
                    return
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def whole(self, run_id: str) -> list[GraphEngineEvent]:
        """All that has happened so far, what was side by side in the order of its times: the same
        list for every reader of a run that is over."""
        root = self._root()
        await self._read_workflow(root, run_id)
        return list(self._merged(root))

    def _root(self) -> _Workflow:
        return _Workflow(self._id, cursor.ROOT, self._seen.get(cursor.ROOT, 0))

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
                feed = HistoryFeed(self._client.data_converter, workflow.workflow_id)
                handle = self._client.get_workflow_handle(workflow.workflow_id, run_id=following)
                async for event in handle.fetch_history_events(wait_new_event=self._waits):
                    await self._tell(workflow, feed, await feed.take(event))
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
        told: list[_Told] = []
        for event in new:
            workflow.taken += 1
            if workflow.taken > workflow.skip:
                told.append(_Told(event, workflow.taken))
        if self._out is None:
            workflow.log += told
        else:
            await self._out.put((feed, [self._stamped(workflow, each) for each in told]))
        if feed.child_started is not None:
            workflow.unread.append(feed.child_started)
        if workflow.taken >= workflow.skip:
            for child in workflow.unread:
                self._read_child(workflow, child)
            workflow.unread.clear()

    def _read_child(self, workflow: _Workflow, child: ChildStarted) -> None:
        key = self._key(child.workflow_id)
        reading = _Workflow(child.workflow_id, key, self._seen.get(key, 0))
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
            for known in [k for k in self._counts if k == key or k.startswith(f"{key}/")]:
                del self._counts[known]
        workflow.sealed.clear()
        self._counts[workflow.key] = told.number
        return replace(told.event, cursor=cursor.encode(self._counts))

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

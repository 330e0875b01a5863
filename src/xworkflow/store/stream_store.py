"""Token deltas in a table: appended in batches, read after a cursor, thrown away after a while.

Each delta is there once, however often it is appended. Within a run, rows become visible in the
order of their ids (SQLite has one writer at a time; on PostgreSQL a lock for each run makes it so),
hence the id of the last row that was read is all that a reader has to remember.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL

from xworkflow.domain.deltas import ANNOUNCEMENT, Delta, StreamItem, StreamKey
from xworkflow.store.database import METADATA, connected, make_tables, open_engine

POLL_SECS: Final = 0.1
"""How often a follower asks for what other processes wrote; of its own process it hears at once."""
PAGE: Final = 1000
_DAY_MILLIS: Final = 24 * 3600 * 1000

DELTAS: Final = Table(
    "xworkflow_deltas",
    METADATA,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("run_id", String, nullable=False),
    Column("path", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("activity_try", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("variable", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("run_id", "path", "attempt", "activity_try", "seq"),
    Index("xworkflow_deltas_by_run", "run_id", "id"),
    Index("xworkflow_deltas_by_age", "created_at"),
    sqlite_autoincrement=True,  # an id is never used again: cursors outlive deleted rows
)
_GENERATION: Final = tuple_(DELTAS.c.attempt, DELTAS.c.activity_try)


class SqlStreamStore:
    """A ``ports.StreamStore``. Any number of processes may share the database.

    Connects with its first use; whoever makes it closes it, and may use it again after that.
    Every method raises InfrastructureError when the database cannot be reached.
    """

    def __init__(self, url: str) -> None:
        """``sqlite:///file`` or ``postgresql://…``. Raises MisuseError."""
        self._engine = open_engine(url)
        self._tables = threading.Lock()
        self._has_tables = False
        self._followers = _Followers()

    @classmethod
    def of_file(cls, file: Path) -> SqlStreamStore:
        """A store in a SQLite file, which is made with its first use."""
        return cls(URL.create("sqlite", database=str(file)).render_as_string())

    async def append(self, key: StreamKey, deltas: Sequence[Delta]) -> None:
        """Add the deltas that are not there yet; all of them, or none.

        A writer that was followed by a newer one is not heard any more. One that is not the first
        of its node tells so, even without deltas.
        """
        await asyncio.to_thread(self._append, key, deltas)
        self._followers.wake(key.run_id)

    async def read(self, run_id: str, after: int = 0, *, limit: int = PAGE) -> list[StreamItem]:
        """The items of a run after a cursor, in their order."""
        return await asyncio.to_thread(self._read, run_id, after, limit)

    async def follow(
        self, run_id: str, after: int = 0, *, poll_secs: float = POLL_SECS
    ) -> AsyncGenerator[StreamItem]:
        """The items of a run, also those to come. It never ends by itself: leave it."""
        with self._followers.of(run_id) as arrived:
            while True:
                arrived.clear()
                page = await self.read(run_id, after)
                for item in page:
                    after = item.cursor
                    yield item
                if page:
                    continue
                try:
                    async with asyncio.timeout(poll_secs):
                        await arrived.wait()
                except TimeoutError:
                    pass  # another process may have written

    async def delete_run(self, run_id: str) -> None:
        """Throw the items of a run away."""
        await asyncio.to_thread(self._delete, DELTAS.c.run_id == run_id)

    async def delete_older_than(self, days: float) -> int:
        """Throw away what was written so many days ago; returns how many items that were."""
        limit = _now() - int(days * _DAY_MILLIS)
        return await asyncio.to_thread(self._delete, DELTAS.c.created_at < limit)

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        await asyncio.to_thread(self._engine.dispose)

    def _append(self, key: StreamKey, deltas: Sequence[Delta]) -> None:
        rows = [_row(key, delta) for delta in deltas]
        if key.is_again:
            rows.insert(0, _row(key, Delta(ANNOUNCEMENT, "", "")))
        self._prepare()
        with connected(self._engine, writes=True) as connection:
            self._lock(connection, key.run_id)
            if rows and not _is_outdated(connection, key):
                connection.execute(self._insert(), rows)

    def _insert(self) -> Any:  # noqa: ANN401 - the two dialects have no type in common
        dialect = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        return dialect.insert(DELTAS).on_conflict_do_nothing()

    def _lock(self, connection: Connection, run_id: str) -> None:
        """Let the writers of a run wait for one another, so that ids become visible in order."""
        if self._engine.dialect.name == "postgresql":
            key = func.hashtextextended(run_id, 0)
            connection.execute(select(func.pg_advisory_xact_lock(key)))

    def _read(self, run_id: str, after: int, limit: int) -> list[StreamItem]:
        self._prepare()
        wanted = (
            select(DELTAS)
            .where(DELTAS.c.run_id == run_id, DELTAS.c.id > after)
            .order_by(DELTAS.c.id)
            .limit(limit)
        )
        with connected(self._engine) as connection:
            return [_item(row) for row in connection.execute(wanted)]

    def _delete(self, which: Any) -> int:  # noqa: ANN401 - a condition
        self._prepare()
        with connected(self._engine, writes=True) as connection:
            return connection.execute(delete(DELTAS).where(which)).rowcount

    def _prepare(self) -> None:
        with self._tables:
            if not self._has_tables:
                make_tables(self._engine)
                self._has_tables = True


class _Followers:
    """Who waits for items in this process: in any event loop, of any run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[_Arrival]] = {}

    def of(self, run_id: str) -> _Arrival:
        return _Arrival(self, run_id)

    def add(self, arrival: _Arrival) -> None:
        with self._lock:
            self._waiting.setdefault(arrival.run_id, []).append(arrival)

    def remove(self, arrival: _Arrival) -> None:
        with self._lock:
            left = [other for other in self._waiting[arrival.run_id] if other is not arrival]
            if left:
                self._waiting[arrival.run_id] = left
            else:
                del self._waiting[arrival.run_id]

    def wake(self, run_id: str) -> None:
        with self._lock:
            for arrival in self._waiting.get(run_id, ()):
                arrival.announce()


class _Arrival(asyncio.Event):
    """Set when something of a run was written. Belongs to the loop that waits."""

    def __init__(self, followers: _Followers, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self._followers = followers
        self._home = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        self._followers.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._followers.remove(self)

    def announce(self) -> None:
        if not self._home.is_closed():
            self._home.call_soon_threadsafe(self.set)


def _is_outdated(connection: Connection, key: StreamKey) -> bool:
    newer = (
        select(DELTAS.c.id)
        .where(DELTAS.c.run_id == key.run_id, DELTAS.c.path == key.path)
        .where(tuple_(key.attempt, key.activity_try) < _GENERATION)
        .limit(1)
    )
    return connection.execute(newer).first() is not None


def _row(key: StreamKey, delta: Delta) -> dict[str, Any]:
    return {
        "run_id": key.run_id,
        "path": key.path,
        "attempt": key.attempt,
        "activity_try": key.activity_try,
        "seq": delta.seq,
        "variable": delta.variable,
        "text": _storable(delta.text),
        "created_at": _now(),
    }


def _storable(text: str) -> str:
    """Half a surrogate pair has no UTF-8, and PostgreSQL has no NUL: they are shown as unknown."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def _item(row: Any) -> StreamItem:  # noqa: ANN401 - a row of DELTAS
    key = StreamKey(row.run_id, row.path, row.attempt, row.activity_try)
    return StreamItem(row.id, key, Delta(row.seq, row.variable, row.text))


def _now() -> int:
    return int(time.time() * 1000)

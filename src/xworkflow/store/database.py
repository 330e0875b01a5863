"""A database by its URL, opened as this project needs it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from xworkflow.errors import InfrastructureError, MisuseError

METADATA: Final = MetaData()
"""All tables of this room."""

_BUSY_MILLIS: Final = 10_000
_RETRY_SECS: Final = 0.01
_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_SCHEMA_LOCK: Final = 0x78776F726B666C6F


def open_engine(url: str) -> Engine:
    """An engine for ``sqlite:///file`` or ``postgresql://…``; connects to nothing yet.

    Raises MisuseError for a URL that names neither, or a database whose driver is not installed.
    """
    try:
        parsed = make_url(url)
        parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise MisuseError(f"'{_shown(parsed)}' is neither SQLite nor PostgreSQL")
        engine = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise MisuseError("a database is named as sqlite:///FILE or postgresql://…") from None
    except ImportError as error:
        remedy = "pip install 'xworkflow[postgresql]'"
        raise MisuseError(f"PostgreSQL needs the module {error.name}: {remedy}") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def make_tables(engine: Engine) -> None:
    """Make the tables that are not there yet; several processes may do it at once."""
    with connected(engine, writes=True) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
        METADATA.create_all(connection)


@contextmanager
def connected(engine: Engine, *, writes: bool = False) -> Generator[Connection]:
    """A transaction. Raises InfrastructureError for whatever the database says."""
    try:
        with engine.connect() as connection:
            connection.execution_options(xworkflow_writes=writes)
            with connection.begin():
                yield connection
    except SQLAlchemyError as error:
        raise InfrastructureError(f"{_shown(engine.url)}: {_reason(error)}") from error


def _reason(error: SQLAlchemyError) -> str:
    """The first line: the rest quotes the statement, with texts of users."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(cause).partition("\n")[0] or type(error).__name__


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _tune_sqlite(connection: Any, _record: Any) -> None:  # noqa: ANN401 - the driver's own
    """Readers and a writer at once (WAL); a lost machine loses the last deltas, not the file."""
    connection.isolation_level = None  # transactions are begun below, not by the driver
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MILLIS}")
    _write_ahead(cursor)
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _write_ahead(cursor: Any) -> None:  # noqa: ANN401 - the driver's own
    """The change of a new file to WAL does not wait for others that make it: it is tried again."""
    last = time.monotonic() + _BUSY_MILLIS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > last:
                raise
            time.sleep(_RETRY_SECS)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes its lock at once: one that only upgrades would fail instead of waiting."""
    writes = connection.get_execution_options().get("xworkflow_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

"""What is kept beside histories, in a SQL database: SQLite by default, or PostgreSQL."""

from xworkflow.store.stream_store import SqlStreamStore

__all__ = ["SqlStreamStore"]

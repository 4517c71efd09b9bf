"""Databases of a test's own, and both drivers of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sessionstore.testing.directory import short_directory
from sessionstore.testing.postgres import Database, PostgresServer, embedded_server

from .bystander import PASSWORD, dsn, until_refused


@pytest.fixture
def bare_database(server: PostgresServer) -> Iterator[Database]:
    """An empty database, without tables."""
    with server.fresh_database() as database:
        yield database


@pytest.fixture
def postgres(server: PostgresServer, template: Database) -> Iterator[Database]:
    """A migrated database that is the test's own to spoil."""
    with server.fresh_database(template) as database:
        yield database


@pytest.fixture(params=["psycopg", "asyncpg"])
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(postgres: Database, driver: str) -> str:
    """The test's own database, by each driver."""
    return driven(postgres.url, driver)


def driven(url: str, driver: str) -> str:
    """A PostgreSQL URL with the driver named."""
    return url.replace("postgresql+psycopg:", f"postgresql+{driver}:", 1)


@pytest.fixture(scope="session")
def guarded_server(server: PostgresServer) -> Iterator[PostgresServer]:
    """A server where the role "guarded" needs its password. It ends before `server`, whose lock file it uses."""
    with short_directory(in_memory=True) as directory, embedded_server(directory) as guarded:
        rules = directory / "data" / "pg_hba.conf"
        rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
        guarded.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'", "SELECT pg_reload_conf()")
        until_refused(dsn(guarded.url), user="guarded", password="wrong")
        yield guarded

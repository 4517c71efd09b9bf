"""Migrations that cannot work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import psycopg
import pytest

from sessionstore import SchemaError, StorageError, StorageUnavailableError, migrate, open_storage
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import sqlite_url
from sessionstore.testing.support.documents import draft, key

from ..storage.sql.connections.test_first_call import Place
from ..support.bystander import ask, dsn, role
from ..support.discretion import assert_discreet

Command: TypeAlias = Callable[[str], object]

_COMMANDS: dict[str, Command] = {
    "upgrade": migrate.upgrade,
    "downgrade": lambda url: migrate.downgrade(url, revision="base"),
    "current": migrate.current,
    "check": migrate.check,
}

_PLACES: list[tuple[Callable[[Place], str], type[StorageError]]] = [
    (Place.nobody_listens, StorageUnavailableError),
    (Place.no_socket, StorageUnavailableError),
    (Place.wrong_password, StorageUnavailableError),
    (Place.no_such_database, StorageUnavailableError),
    (Place.too_many_connections, StorageUnavailableError),
    (Place.sqlite_no_directory, StorageUnavailableError),
    (Place.sqlite_no_database, StorageError),
]


@pytest.mark.parametrize("command", _COMMANDS.values(), ids=_COMMANDS)
@pytest.mark.parametrize(("place", "error"), _PLACES, ids=[place.__name__ for place, _ in _PLACES])
def test_the_error_of_an_unreachable_database_does_not_show_its_url(
    request: pytest.FixtureRequest, place: Callable[[Place], str], error: type[StorageError], command: Command
) -> None:
    with ExitStack() as stack:
        url = place(Place(request, stack, "psycopg"))
        with pytest.raises(error) as raised:
            command(url)
    assert type(raised.value) is error
    assert_discreet(raised.value)


@pytest.mark.parametrize("command", [*_COMMANDS.values()][:2], ids=["upgrade", "downgrade"])
@pytest.mark.parametrize("database_kind", ["postgresql", "sqlite"])
def test_a_database_of_a_newer_version_is_left_as_it_is(
    request: pytest.FixtureRequest, database_kind: str, command: Command
) -> None:
    with ExitStack() as stack:
        place = Place(request, stack, "psycopg")
        url = place.newer_revision() if database_kind == "postgresql" else place.sqlite_newer_revision()
    with pytest.raises(SchemaError, match="upgrade sessionstore") as raised:
        command(url)
    assert (raised.value.found, raised.value.wanted) == ("9999_needs_9998", REVISIONS[-1])
    assert migrate.current(url) == "9999_needs_9998"
    with pytest.raises(SchemaError, match="upgrade sessionstore"):
        migrate.check(url)


def test_a_database_without_tables_does_not_pass_the_check(bare_database: Database, tmp_path: Path) -> None:
    for url in (bare_database.url, sqlite_url(tmp_path / "new.db")):
        with pytest.raises(SchemaError, match="sessionstore migrate upgrade") as raised:
            migrate.check(url)
        assert raised.value.found is None


def test_a_role_without_rights_gets_a_storage_error(bare_database: Database) -> None:
    with role(bare_database) as url, pytest.raises(StorageError) as raised:
        migrate.upgrade(url)
    assert raised.value.code == "42501"
    assert_discreet(raised.value)


def test_a_migration_gives_up_behind_a_long_transaction_and_changes_nothing(postgres: Database) -> None:
    with psycopg.connect(dsn(postgres.url)) as connection:
        connection.execute("SELECT FROM sessionstore.sessions")
        with pytest.raises(StorageUnavailableError, match="try again") as raised:
            migrate.downgrade(postgres.url, revision="base", lock_timeout=timedelta(milliseconds=20))
        assert_discreet(raised.value)
    migrate.check(postgres.url)
    migrate.downgrade(postgres.url, revision="base")


async def test_a_provider_works_after_its_table_was_made_anew(url: str, postgres: Database) -> None:
    async with open_storage(url) as storage:
        for n in range(8):
            await storage.create(draft(f"s{n}"))
            await storage.get(key(f"s{n}"))
        migrate.downgrade(postgres.url, revision="base")
        migrate.upgrade(postgres.url)
        assert await storage.get(key("s1")) is None
        assert (await storage.create(draft("s1"))).created
        # As a newer version does it while older ones still run.
        ask(postgres, "ALTER TABLE sessionstore.sessions ADD COLUMN mood text NOT NULL DEFAULT 'good'")
        assert await storage.get(key("s1")) is not None
        assert (await storage.create(draft("s2"))).created


def test_an_upgrade_of_tables_that_are_up_to_date_waits_for_no_lock(postgres: Database) -> None:
    with psycopg.connect(dsn(postgres.url)) as connection:
        connection.execute("LOCK TABLE sessionstore.sessions IN ACCESS EXCLUSIVE MODE")
        migrate.upgrade(postgres.url)

"""A storage that cannot work says so at the first call, whichever it is, and never that a session is missing."""

from __future__ import annotations

import asyncio
import shlex
import socket
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest
from sqlalchemy.engine import make_url

from sessionstore import (
    SchemaError,
    SessionStoreError,
    StorageError,
    StorageProvider,
    StorageUnavailableError,
    open_storage,
)
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database, PostgresServer
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import key
from tests.support.bystander import PASSWORD, ask, role
from tests.support.databases import driven
from tests.support.discretion import refusal, say_more, secretive

Call: TypeAlias = Callable[[StorageProvider], Awaitable[object]]


_CALLS: list[Call] = [
    lambda storage: secretive(storage).create_session("s"),
    lambda storage: secretive(storage).get_session("s"),
    lambda storage: secretive(storage).update_session("s", say_more),
    lambda storage: secretive(storage).delete_session("s"),
    lambda storage: storage.list("chat"),
    lambda storage: storage.purge_expired(),
]


class Place:
    """Makes URLs of storages that cannot work."""

    def __init__(self, request: pytest.FixtureRequest, stack: ExitStack, driver: str) -> None:
        self._request = request
        self._stack = stack
        self._driver = driver

    def nobody_listens(self) -> str:
        # Bound for as long as the test runs, so that no other worker's server gets the port.
        bound = self._stack.enter_context(closing(socket.socket()))
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        return driven(f"postgresql+psycopg://app:{PASSWORD}@127.0.0.1:{port}/app", self._driver)

    def no_socket(self) -> str:
        missing = self._request.getfixturevalue("tmp_path") / "missing"
        return driven(f"postgresql+psycopg://app:{PASSWORD}@/app?host={missing}", self._driver)

    def wrong_password(self) -> str:
        server: PostgresServer = self._request.getfixturevalue("guarded_server")
        url = make_url(server.url).set(username="guarded", password=f"{PASSWORD}-wrong")
        return driven(url.render_as_string(hide_password=False), self._driver)

    def no_such_database(self) -> str:
        server: PostgresServer = self._request.getfixturevalue("server")
        return driven(make_url(server.url).set(database="missing").render_as_string(False), self._driver)

    def too_many_connections(self) -> str:
        limit = "ALTER ROLE {role} CONNECTION LIMIT 0"
        return driven(self._stack.enter_context(role(self._migrated, limit)), self._driver)

    def no_rights(self) -> str:
        return driven(self._stack.enter_context(role(self._migrated)), self._driver)

    def no_schema(self) -> str:
        database: Database = self._request.getfixturevalue("bare_database")
        return driven(database.url, self._driver)

    def no_revision(self) -> str:
        return self._at_revision("DELETE FROM sessionstore.sessionstore_version")

    def newer_revision(self) -> str:
        return self._at_revision("UPDATE sessionstore.sessionstore_version SET version_num = '9999_needs_9998'")

    def sqlite_new_file(self) -> str:
        return sqlite_url(self._directory / "new.db")

    def sqlite_no_revision(self) -> str:
        return self._file("DELETE FROM sessionstore_version")

    def sqlite_newer_revision(self) -> str:
        return self._file("UPDATE sessionstore_version SET version_num = '9999_needs_9998'")

    def sqlite_no_database(self) -> str:
        path = self._directory / "letter.db"
        path.write_text("Dear reader,\n" * 100)
        return sqlite_url(path)

    def sqlite_no_directory(self) -> str:
        return sqlite_url(self._directory / "missing" / "sessions.db")

    def sqlite_file_in_the_path(self) -> str:
        return f"{self.sqlite_no_database()}/deeper/sessions.db"

    def sqlite_directory(self) -> str:
        return sqlite_url(self._directory)

    @property
    def _migrated(self) -> Database:
        database: Database = self._request.getfixturevalue("postgres")
        return database

    @property
    def _directory(self) -> Path:
        path: Path = self._request.getfixturevalue("tmp_path")
        return path

    def _at_revision(self, statement: str) -> str:
        ask(self._migrated, statement)
        return driven(self._migrated.url, self._driver)

    def _file(self, statement: str) -> str:
        path = copied_file(self._request.getfixturevalue("sqlite_template"), self._directory / "sessions.db")
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(statement)
        return sqlite_url(path)


_UPGRADE = "run `sessionstore migrate upgrade`"

_ON_POSTGRES: list[tuple[Callable[[Place], str], type[SessionStoreError], str]] = [
    (Place.nobody_listens, StorageUnavailableError, "check that the server runs"),
    (Place.no_socket, StorageUnavailableError, "check that the server runs"),
    (Place.wrong_password, StorageUnavailableError, "user, password"),
    (Place.no_such_database, StorageUnavailableError, "could not use postgresql"),
    (Place.too_many_connections, StorageUnavailableError, "overloaded"),
    (Place.no_rights, StorageError, "GRANT USAGE ON SCHEMA sessionstore TO "),
    (Place.no_schema, SchemaError, _UPGRADE),
    (Place.no_revision, SchemaError, _UPGRADE),
    (Place.newer_revision, SchemaError, "upgrade sessionstore"),
]
_ON_SQLITE: list[tuple[Callable[[Place], str], type[SessionStoreError], str]] = [
    (Place.sqlite_new_file, SchemaError, _UPGRADE),
    (Place.sqlite_no_revision, SchemaError, _UPGRADE),
    (Place.sqlite_newer_revision, SchemaError, "upgrade sessionstore"),
    (Place.sqlite_no_database, StorageError, "letter.db' is no SQLite database"),
    (Place.sqlite_no_directory, StorageUnavailableError, "/missing' of the SQLite file does not exist"),
    (Place.sqlite_file_in_the_path, StorageUnavailableError, "/letter.db' in the path of the SQLite file is no dir"),
    (Place.sqlite_directory, StorageUnavailableError, "is a directory, and the storage URL has to name a file"),
]
_CASES = [
    *(("psycopg", *case) for case in _ON_POSTGRES),
    *(("asyncpg", *case) for case in _ON_POSTGRES),
    *(("aiosqlite", *case) for case in _ON_SQLITE),
]


@pytest.mark.parametrize(
    ("driver", "place", "error", "advice"), _CASES, ids=[f"{case[0]}-{case[1].__name__}" for case in _CASES]
)
async def test_a_database_that_cannot_work_fails_at_the_first_call_and_the_error_says_what_to_do(
    request: pytest.FixtureRequest,
    driver: str,
    place: Callable[[Place], str],
    error: type[SessionStoreError],
    advice: str,
) -> None:
    with ExitStack() as stack:
        url = place(Place(request, stack, driver))
        # For so long a server is asked again that has no connection left.
        options = {"pool_timeout": 0.1} if place is Place.too_many_connections else {}
        for call in _CALLS:
            async with open_storage(url, **options) as storage:
                for _ in range(2):
                    assert advice in str(await refusal(error, partial(call, storage)))
        await _sqlite_threads_ended()


async def _sqlite_threads_ended() -> None:
    """aiosqlite does not wait for the thread of a connection that failed, which then may outlive the event loop."""
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join)


async def test_a_write_to_a_sqlite_file_that_was_opened_read_only_has_an_error_that_says_so(
    sqlite_template: Path, tmp_path: Path
) -> None:
    path = copied_file(sqlite_template, tmp_path / "sessions.db")
    async with open_storage(f"sqlite:///file:{path}?mode=ro&uri=true") as storage:
        assert await storage.get(key()) is None
        error = await refusal(StorageError, lambda: secretive(storage).create_session("s"))
    assert "opens the SQLite file to be read only; leave out mode=ro" in str(error)


async def test_the_default_file_is_named_where_it_has_no_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_storage() as storage:
        error = await refusal(SchemaError, lambda: storage.get(key()))
    assert f"the SQLite file '{tmp_path}/sessionstore.db' has no sessionstore tables" in str(error)


@pytest.mark.parametrize("found", [None, "9999_needs_9998"])
async def test_a_schema_error_tells_what_was_found_and_what_is_wanted(
    request: pytest.FixtureRequest, driver: str, found: str | None
) -> None:
    with ExitStack() as stack:
        place = Place(request, stack, driver)
        url = place.newer_revision() if found else place.no_revision()
        async with open_storage(url) as storage:
            error = await refusal(SchemaError, lambda: storage.get(key()))
            assert (error.found, error.wanted) == (found, REVISIONS[-1])
            # Once it is put right, the same provider works.
            ask(place._migrated, "DELETE FROM sessionstore.sessionstore_version")
            ask(place._migrated, "INSERT INTO sessionstore.sessionstore_version VALUES (%s)", REVISIONS[-1])
            assert await storage.get(key()) is None


@pytest.mark.parametrize("schema", ["chats", "my chats", 'it\'s "mine"'])
async def test_the_command_that_a_schema_error_names_can_be_run_as_it_stands(
    bare_database: Database, schema: str
) -> None:
    async with open_storage(bare_database.url, schema=schema) as storage:
        error = await refusal(SchemaError, lambda: storage.get(key()))
    command = str(error).split("`")[1]
    assert shlex.split(command) == ["sessionstore", "migrate", "upgrade", "--schema", schema]

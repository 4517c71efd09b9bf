"""What goes wrong behind a provider that works."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from sessionstore import SchemaError, StorageError, StorageUnavailableError, open_storage
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import key, rewrite
from tests.support.bystander import (
    ask,
    role,
    set_for_everybody,
    states_of_others,
    until_blocked,
    until_quiet,
    unwritable,
)
from tests.support.databases import driven
from tests.support.discretion import SECRET, refusal, say_more, secretive
from tests.support.opening import WAYS, opened


@pytest.fixture
def file(sqlite_template: Path, tmp_path: Path) -> Path:
    return copied_file(sqlite_template, tmp_path / "sessions.db")


async def test_a_table_that_was_dropped_is_an_error_of_the_schema(url: str, postgres: Database) -> None:
    async with open_storage(url) as storage:
        desk = secretive(storage)
        await desk.create_session("s")
        ask(postgres, "ALTER SCHEMA sessionstore RENAME TO elsewhere")
        for call in (desk.get_session, desk.create_session, desk.delete_session):
            error = await refusal(SchemaError, partial(call, "s"))
            assert "run `sessionstore migrate upgrade`" in str(error)
            assert (error.found, error.wanted) == (None, REVISIONS[-1])
        ask(postgres, "ALTER SCHEMA elsewhere RENAME TO sessionstore")
        assert (await desk.get_session("s")).unwrap() == {"said": SECRET}


async def test_a_schema_that_moved_on_behind_a_provider_tells_its_revision(url: str, postgres: Database) -> None:
    async with open_storage(url) as storage:
        await secretive(storage).create_session("s")
        ask(postgres, "ALTER TABLE sessionstore.sessions RENAME state TO document")
        ask(postgres, "UPDATE sessionstore.sessionstore_version SET version_num = '9999_needs_9998'")
        error = await refusal(SchemaError, lambda: secretive(storage).get_session("s"))
        assert error.found == "9999_needs_9998"
        assert "upgrade sessionstore" in str(error)


async def test_a_table_that_was_dropped_in_sqlite_is_an_error_of_the_schema(file: Path) -> None:
    async with open_storage(sqlite_url(file)) as storage:
        desk = secretive(storage)
        await desk.create_session("s")
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("DROP TABLE sessions")
            connection.execute("DROP TABLE sessionstore_version")
        for call in (desk.get_session, desk.create_session, desk.delete_session):
            error = await refusal(SchemaError, partial(call, "s"))
            assert "run `sessionstore migrate upgrade`" in str(error)


@pytest.mark.parametrize(("setting", "code"), [("statement_timeout", "57014"), ("lock_timeout", "55P03")])
async def test_a_write_that_took_too_long_did_not_happen(url: str, postgres: Database, setting: str, code: str) -> None:
    set_for_everybody(postgres, f"{setting} = '50ms'")
    async with open_storage(url, pool_size=1) as storage:
        desk = secretive(storage)
        before = (await desk.create_session("s")).version
        with unwritable(postgres):
            error = await refusal(StorageUnavailableError, lambda: desk.update_session("s", say_more))
            assert error.code == code
            error = await refusal(StorageUnavailableError, lambda: desk.delete_session("s"))
            assert error.code == code
        after = await desk.get_session("s")
        assert (after.version, after.unwrap()) == (before, {"said": SECRET})


async def test_a_server_that_only_reads_is_unavailable_for_writes(url: str, postgres: Database) -> None:
    async with open_storage(url) as storage:
        await secretive(storage).create_session("s")
    set_for_everybody(postgres, "default_transaction_read_only = on")
    async with open_storage(url) as storage:
        desk = secretive(storage)
        assert (await desk.get_session("s")).success
        for call in (
            lambda: desk.update_session("s", say_more),
            lambda: desk.create_session("t"),
            lambda: desk.delete_session("s"),
        ):
            assert (await refusal(StorageUnavailableError, call)).code == "25006"
        assert (await desk.get_session("s")).unwrap() == {"said": SECRET}


async def test_a_role_that_may_only_read_is_told_what_it_needs(postgres: Database, driver: str) -> None:
    async with open_storage(postgres.url) as storage:
        await secretive(storage).create_session("s")
    usage = "GRANT USAGE ON SCHEMA sessionstore TO {role}"
    reading = "GRANT SELECT ON ALL TABLES IN SCHEMA sessionstore TO {role}"
    with role(postgres, usage, reading) as url:
        async with open_storage(driven(url, driver)) as storage:
            desk = secretive(storage)
            assert (await desk.get_session("s")).success
            for call in (
                lambda: desk.update_session("s", say_more),
                lambda: desk.create_session("t"),
                lambda: desk.delete_session("s"),
            ):
                assert "GRANT INSERT, UPDATE, DELETE ON TABLE sessionstore.sessions TO sessionstore_test_" in str(
                    await refusal(StorageError, call)
                )


async def test_a_pool_without_a_free_connection_is_unavailable(url: str, postgres: Database) -> None:
    async with open_storage(url, pool_size=1, max_overflow=0, pool_timeout=0.05) as storage:
        desk = secretive(storage)
        await desk.create_session("s")
        with unwritable(postgres):
            waiting = asyncio.create_task(desk.delete_session("s"))
            await until_blocked(postgres)
            for call in (lambda: desk.get_session("s"), lambda: desk.update_session("s", say_more)):
                assert "pool_size" in str(await refusal(StorageUnavailableError, call))
        assert (await waiting).unwrap() is True
        assert not (await desk.get_session("s")).success


@pytest.mark.parametrize("way", WAYS)
async def test_a_row_that_the_database_refuses_is_not_quoted(url: str, postgres: Database, way: str) -> None:
    async with opened(way, url) as storage:
        desk = secretive(storage)
        await desk.create_session("s")
        ask(postgres, "ALTER TABLE sessionstore.sessions ADD CONSTRAINT short CHECK (length(state::text) < 60)")
        for call in (
            lambda: desk.update_session("s", say_more),
            lambda: storage.update_locked(key(), lambda it: rewrite(it, f"[{it.state}, {it.state}]")),
        ):
            assert (await refusal(StorageError, call)).code == "23514"
        await until_quiet(postgres)
        assert states_of_others(postgres) == {"idle"}


async def test_a_sqlite_file_that_somebody_else_writes_for_too_long_is_unavailable(file: Path) -> None:
    async with open_storage(sqlite_url(file), connect_args={"timeout": 0.01}) as storage:
        desk = secretive(storage)
        await desk.create_session("s")
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for call in (
                lambda: desk.update_session("s", say_more),
                lambda: desk.create_session("t"),
                lambda: desk.delete_session("s"),
            ):
                assert (await refusal(StorageUnavailableError, call)).code == "SQLITE_BUSY"
            assert (await desk.get_session("s")).success
        assert (await desk.update_session("s", say_more)).success


async def test_a_sqlite_file_that_may_only_be_read_is_read(file: Path) -> None:
    async with open_storage(sqlite_url(file)) as storage:
        await secretive(storage).create_session("s")
    # By the URL: a file's permissions do not stop root.
    async with open_storage(f"sqlite+aiosqlite:///file:{file}?mode=ro&uri=true") as storage:
        desk = secretive(storage)
        assert (await desk.get_session("s")).success
        with pytest.raises(StorageError) as raised:
            await desk.update_session("s", say_more)
        assert raised.value.code == "SQLITE_READONLY"
        # SQLite knows no roles and no grants.
        assert "grant" not in str(raised.value)


_LIMITS = {
    "54000": (StorageError, "268,435,455 bytes"),
    "54001": (StorageError, "max_stack_depth"),
    "53100": (StorageUnavailableError, "no room left on its disk"),
    "53200": (StorageUnavailableError, "no memory left"),
    "53400": (StorageUnavailableError, "temp_file_limit"),
}


@pytest.mark.parametrize(("code", "error", "limit"), [(code, *said) for code, said in _LIMITS.items()])
async def test_a_limit_of_the_server_stands_in_the_message(
    url: str, postgres: Database, code: str, error: type[StorageError], limit: str
) -> None:
    raising = f"BEGIN RAISE EXCEPTION 'a limit' USING ERRCODE = '{code}'; END"
    ask(postgres, f"CREATE FUNCTION sessionstore.refuse() RETURNS trigger LANGUAGE plpgsql AS $${raising}$$")
    ask(
        postgres,
        "CREATE TRIGGER refuse BEFORE INSERT ON sessionstore.sessions FOR EACH ROW EXECUTE FUNCTION "
        "sessionstore.refuse()",
    )
    async with open_storage(url) as storage:
        raised = await refusal(error, lambda: secretive(storage).create_session("s"))
    assert limit in str(raised)
    assert raised.code == code

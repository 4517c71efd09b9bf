"""What the server ends or refuses leaves nothing behind, and the error names the setting."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from typing import Any

import psycopg
import pytest

from sessionstore import SqlStorageProvider, StorageUnavailableError, UpdateOutcomeUnknownError, open_storage
from sessionstore.errors import SessionHeldError
from sessionstore.testing.directory import short_directory
from sessionstore.testing.postgres import Database, embedded_server
from sessionstore.testing.support.documents import key, rewrite
from tests.storage.sql.operations.writes import LOCKING, WRITES, assert_well, fill, rows
from tests.support.bystander import (
    ask,
    dsn,
    role,
    set_for_everybody,
    states_of_others,
    until_quiet,
    until_refused,
    unwritable,
)
from tests.support.databases import driven
from tests.support.discretion import refusal, secretive
from tests.support.opening import in_use, opened

_TIMEOUTS = {"statement_timeout": "57014", "lock_timeout": "55P03"}


@pytest.mark.parametrize("setting", _TIMEOUTS)
async def test_a_write_that_waited_too_long_names_the_setting(
    url: str, postgres: Database, setting: str, way: str
) -> None:
    set_for_everybody(postgres, f"{setting} = '50ms'")
    async with opened(way, url) as storage:
        for name, call in WRITES.items():
            await fill(storage)
            before = rows(postgres)
            # Which the update loop gets, and goes on.
            held = setting == "lock_timeout" and name in LOCKING
            with unwritable(postgres):
                error = await refusal(SessionHeldError if held else StorageUnavailableError, partial(call, storage))
            assert error.code == _TIMEOUTS[setting]
            assert setting in str(error)
            assert rows(postgres) == before
            await assert_well(storage, postgres)


def _outstay_and_rewrite(postgres: Database, document: Any) -> Any:
    """An update function that computes, and lets nobody else run, until the server has ended its transaction."""
    for _ in range(2000):
        if "idle in transaction" not in states_of_others(postgres):
            return rewrite(document)
        time.sleep(0.01)
    raise TimeoutError("the server puts up with everything")


_ENDINGS = "'idle_in_transaction_session_timeout', 'transaction_timeout'"  # the second since PostgreSQL 17


async def test_an_update_that_holds_its_lock_too_long_fails_and_writes_nothing(
    url: str, postgres: Database, way: str, driver: str
) -> None:
    # asyncpg hangs up when it is told, and knows no more of it when it is asked for something.
    expected = StorageUnavailableError if driver == "psycopg" else UpdateOutcomeUnknownError
    for (setting,) in ask(postgres, f"SELECT name FROM pg_settings WHERE name IN ({_ENDINGS})"):
        set_for_everybody(postgres, f"{setting} = '200ms'")
        async with opened(way, url) as storage:
            await fill(storage)
            before = rows(postgres)
            outstay = partial(_outstay_and_rewrite, postgres)
            error = await refusal(expected, partial(storage.update_locked, key("b"), outstay))
            assert driver != "psycopg" or "idle_in_transaction_session_timeout" in str(error)
            assert rows(postgres) == before
            await assert_well(storage, postgres)
        set_for_everybody(postgres, f"{setting} = 0")


async def test_a_role_without_a_connection_left_gets_an_error_that_says_so(postgres: Database, driver: str) -> None:
    usage = "GRANT USAGE ON SCHEMA sessionstore TO {role}"
    tables = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sessionstore TO {role}"
    with role(postgres, usage, tables, "ALTER ROLE {role} CONNECTION LIMIT 1") as url:
        async with open_storage(driven(url, driver), pool_timeout=0.3) as storage:
            assert isinstance(storage, SqlStorageProvider)
            with psycopg.connect(dsn(url)):
                error = await refusal(StorageUnavailableError, lambda: secretive(storage).get_session("s"))
                assert error.code == "53300"
                assert "lower pool_size" in str(error)
                assert in_use(storage) == 0
            await until_quiet(postgres)
            assert (await secretive(storage).create_session("s")).created
            assert in_use(storage) == 0


async def test_a_server_that_shuts_down_is_told_apart_from_one_that_is_not_there(driver: str) -> None:
    with short_directory(in_memory=True) as directory, embedded_server(directory) as server:
        url = driven(server.url, driver)
        with psycopg.connect(dsn(server.url), autocommit=True) as last:
            postmaster = int((directory / "data" / "postmaster.pid").read_text().splitlines()[0])
            os.kill(postmaster, signal.SIGTERM)  # a smart shutdown, which waits for the last to leave
            until_refused(dsn(server.url))
            async with open_storage(url, pool_timeout=2) as storage:
                assert isinstance(storage, SqlStorageProvider)
                error = await refusal(StorageUnavailableError, storage.list)
                assert error.code == "57P03"
                assert "try again in a moment" in str(error)
                assert in_use(storage) == 0
            last.execute("SELECT 1")

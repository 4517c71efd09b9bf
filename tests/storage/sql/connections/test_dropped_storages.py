"""Storages that are dropped without a call of close(): their connections are closed, and nothing is printed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.postgres import Database, asyncpg_url
from tests.support.processes import python
from tests.support.sqlite import copied_file, sqlite_url

KINDS = ("psycopg", "asyncpg", "sqlite")
WAYS = ("open_storage", "service-engine")


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty storage."""
    if request.param == "sqlite":
        return sqlite_url(copied_file(request.getfixturevalue("sqlite_template"), tmp_path / "sessions.db"))
    database: Database = request.getfixturevalue("database")
    database.empty()
    return asyncpg_url(database.url) if request.param == "asyncpg" else database.url


async def assert_silent(*arguments: str) -> None:
    """Runs a process with all warnings shown, which must end well and print nothing."""
    ended = await asyncio.wait_for(
        python("-W", "default", "-m", "tests.storage.sql.connections.dropping", *arguments), 120
    )
    assert (ended.status, ended.output) == (0, "")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", ["dropped", "dropped_in_thread", "dropped_in_other_loop"])
async def test_a_storage_that_is_dropped_while_its_loop_runs_leaves_no_connection(
    place: str, way: str, mode: str
) -> None:
    await assert_silent(mode, way, place)


# The idle connections of a service's engine are the service's to close.
@pytest.mark.parametrize("mode", ["after_closed", "at_exit"])
async def test_a_storage_that_is_dropped_after_its_loop_prints_nothing(place: str, mode: str) -> None:
    await assert_silent(mode, "open_storage", place)


@pytest.mark.parametrize("place", ["psycopg", "asyncpg"], indirect=True)
async def test_a_child_that_ends_leaves_the_connections_of_its_parent_open(place: str) -> None:
    await assert_silent("child_exits", "open_storage", place)

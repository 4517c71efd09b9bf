"""Event loops one after the other, and at once in threads: with connections of their own, and nothing left."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.support.postgres import Database, asyncpg_url
from tests.support.processes import python
from tests.support.sqlite import copied_file, sqlite_url

KINDS = ("psycopg", "asyncpg", "sqlite", "memory")
WAYS = ("open_storage", "service-engine")


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty storage."""
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        return sqlite_url(copied_file(request.getfixturevalue("sqlite_template"), tmp_path / "sessions.db"))
    database: Database = request.getfixturevalue("database")
    database.empty()
    return asyncpg_url(database.url) if request.param == "asyncpg" else database.url


async def assert_silent(*arguments: str) -> None:
    """Runs a process with all warnings shown, in which nothing may be said."""
    ended = await asyncio.wait_for(
        python("-W", "default", "-m", "tests.storage.sql.connections.looping", *arguments), 120
    )
    assert (ended.status, ended.output) == (0, "")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ending", ["run", "closed", "left"])
async def test_loops_one_after_the_other_work_under_contention(place: str, way: str, ending: str) -> None:
    if place == "memory://" and way == "service-engine":
        return
    await assert_silent("in_turn", way, ending, place)


@pytest.mark.parametrize("way", WAYS)
async def test_loops_in_threads_at_once_work(place: str, way: str) -> None:
    if place == "memory://" and way == "service-engine":
        return
    await assert_silent("at_once", way, "run", place)


@pytest.mark.parametrize("way", WAYS)
async def test_uvloop_works(place: str, way: str) -> None:
    if place == "memory://" and way == "service-engine":
        return
    await assert_silent("in_turn", way, "uvloop", place)


if sys.version_info >= (3, 12):

    async def test_eager_tasks_work(place: str) -> None:
        await assert_silent("in_turn", "open_storage", "eager", place)

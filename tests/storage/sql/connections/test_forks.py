"""A child that is forked under traffic uses the storage of its parent, and the parent notices nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sessionstore.testing.sqlite import copied_file, sqlite_url
from tests.support.processes import python

from .silence import empty_place

KINDS = ("psycopg", "asyncpg", "sqlite", "memory")
WAYS = ("open_storage", "service-engine")
FORKS = 50

# Python 3.12 warns of each fork in a process with threads.
QUIET = ("-W", "ignore::DeprecationWarning")


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return empty_place(request, tmp_path)


@pytest.mark.parametrize("way", WAYS)
async def test_children_forked_under_traffic_read_and_lose_nothing_of_others(place: str, way: str) -> None:
    if place == "memory://" and way == "service-engine":
        return
    ended = await asyncio.wait_for(
        python(*QUIET, "-m", "tests.storage.sql.connections.forking", "traffic", way, str(FORKS), place), 250
    )
    assert (ended.status, ended.output) == (0, "")


@pytest.mark.parametrize("mode", ["between", "coroutine", "executor"])
@pytest.mark.parametrize("way", WAYS)
async def test_children_forked_at_other_moments_are_on_their_own(place: str, way: str, mode: str) -> None:
    if place == "memory://" and way == "service-engine":
        return
    ended = await asyncio.wait_for(
        python(*QUIET, "-m", "tests.storage.sql.connections.forking", mode, way, "4", place), 100
    )
    assert (ended.status, ended.output) == (0, "")


async def test_a_child_forked_during_a_statement_of_the_service_is_on_its_own(place: str) -> None:
    if place == "memory://":
        return
    ended = await asyncio.wait_for(
        python(*QUIET, "-m", "tests.storage.sql.connections.forking", "service", "", "3", place), 200
    )
    assert (ended.status, ended.output) == (0, "")


async def test_a_child_forked_during_a_long_statement_of_sqlite_is_refused(
    sqlite_template: Path, tmp_path: Path
) -> None:
    place = sqlite_url(copied_file(sqlite_template, tmp_path / "sessions.db"))
    ended = await asyncio.wait_for(
        python(*QUIET, "-m", "tests.storage.sql.connections.forking", "long", "", "1", place), 100
    )
    assert (ended.status, ended.output) == (0, "")


async def test_a_child_forked_while_a_service_opens_and_closes_connections_of_sqlite_does_not_hang(
    sqlite_template: Path, tmp_path: Path
) -> None:
    place = sqlite_url(copied_file(sqlite_template, tmp_path / "sessions.db"))
    ended = await asyncio.wait_for(python(*QUIET, "-m", "tests.storage.sql.connections.opening", "100", place), 250)
    assert (ended.status, ended.output) == (0, "")

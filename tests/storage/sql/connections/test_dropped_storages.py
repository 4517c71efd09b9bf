"""Storages that are dropped without a call of close(): their connections are closed, and nothing is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from .silence import assert_ends, assert_silent, empty_place

KINDS = ("psycopg", "asyncpg", "sqlite")
WAYS = ("open_storage", "service-engine")


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty storage."""
    return empty_place(request, tmp_path)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", ["dropped", "dropped_in_thread", "dropped_in_other_loop"])
async def test_a_storage_that_is_dropped_while_its_loop_runs_leaves_no_connection(
    place: str, way: str, mode: str
) -> None:
    await assert_silent("dropping", mode, way, place)


# The idle connections of a service's engine are the service's to close.
@pytest.mark.parametrize("mode", ["after_closed", "at_exit"])
async def test_a_storage_that_is_dropped_after_its_loop_prints_nothing(place: str, mode: str) -> None:
    await assert_silent("dropping", mode, "open_storage", place)


@pytest.mark.parametrize("place", ["psycopg", "asyncpg"], indirect=True)
async def test_a_child_that_ends_leaves_the_connections_of_its_parent_open(place: str) -> None:
    await assert_silent("dropping", "child_exits", "open_storage", place)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", ["asyncpg", "sqlite"], indirect=True)
async def test_a_child_that_ends_the_loop_of_its_parent_in_the_middle_of_calls_does_not_hang(
    place: str, way: str
) -> None:
    await assert_ends("dropping", "child_exits_in_calls", way, place)


@pytest.mark.parametrize("way", WAYS)
async def test_a_loop_that_is_stopped_in_the_middle_of_calls_prints_nothing(place: str, way: str) -> None:
    await assert_silent("dropping", "stopped_in_calls", way, place)


# asyncio and the drivers warn of what such a loop leaves. The calls of the next loop must work, and must not wait for
# places in the pool that nobody gives back.
async def test_a_loop_works_after_one_that_was_closed_in_the_middle_of_calls(place: str) -> None:
    await assert_ends("dropping", "closed_in_calls", "service-engine", place)

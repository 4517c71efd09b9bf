"""Event loops one after the other, and at once in threads: with connections of their own, and nothing left."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .silence import assert_silent, empty_place

KINDS = ("psycopg", "asyncpg", "sqlite", "memory")
WAYS = ("open_storage", "service-engine")


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty storage."""
    return empty_place(request, tmp_path)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ending", ["run", "closed", "left"])
async def test_loops_one_after_the_other_work_under_contention(place: str, way: str, ending: str) -> None:
    if place == "memory://" and way == "service-engine":
        return
    await assert_silent("looping", "in_turn", way, ending, place)


@pytest.mark.parametrize("way", WAYS)
async def test_loops_in_threads_at_once_work(place: str, way: str) -> None:
    if place == "memory://" and way == "service-engine":
        return
    await assert_silent("looping", "at_once", way, "run", place)


@pytest.mark.parametrize("way", WAYS)
async def test_uvloop_works(place: str, way: str) -> None:
    if place == "memory://" and way == "service-engine":
        return
    await assert_silent("looping", "in_turn", way, "uvloop", place)


if sys.version_info >= (3, 12):

    async def test_eager_tasks_work(place: str) -> None:
        await assert_silent("looping", "in_turn", "open_storage", "eager", place)

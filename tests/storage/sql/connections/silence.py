"""Processes that must print nothing, and the empty storages that they use."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sessionstore.testing.postgres import Database, asyncpg_url
from sessionstore.testing.sqlite import copied_file, sqlite_url
from tests.support.processes import python


def empty_place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty storage of the kind that the parameter of the fixture names."""
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        return sqlite_url(copied_file(request.getfixturevalue("sqlite_template"), tmp_path / "sessions.db"))
    database: Database = request.getfixturevalue("database")
    database.empty()
    return asyncpg_url(database.url) if request.param == "asyncpg" else database.url


async def assert_silent(module: str, *arguments: str) -> None:
    """Runs a module of this folder with all warnings shown. It must end well and print nothing."""
    assert await _run(module, *arguments) == (0, "")


async def assert_ends(module: str, *arguments: str) -> None:
    """Runs a module of this folder, which must end well. It may print warnings, say of coroutines that never began."""
    status, output = await _run(module, *arguments)
    assert status == 0, output


async def _run(module: str, *arguments: str) -> tuple[int | None, str]:
    name = f"tests.storage.sql.connections.{module}"
    ended = await asyncio.wait_for(python("-W", "default", "-m", name, *arguments), 120)
    return ended.status, ended.output

"""Adapters that a service registers for its whole process change no state, or are refused by what they are for."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import copied_file, sqlite_url
from tests.support.processes import python


async def registered(what: str, whose: str, url: str) -> str:
    ended = await python("-m", "tests.storage.sql.connections.registering", what, whose, url)
    assert ended.status == 0, ended.output
    return ended.output.strip()


# A service's own engine does not get far with the loader of "texts": SQLAlchemy itself reads with it.
@pytest.mark.parametrize(
    ("what", "whose"),
    [
        *((what, "ours") for what in ("dumpers", "loaders", "texts", "json")),
        *((what, "the service's") for what in ("dumpers", "loaders", "json")),
    ],
)
async def test_adapters_of_psycopg_change_nothing(database: Database, what: str, whose: str) -> None:
    database.empty()

    assert await registered(what, whose, database.url) == "worked"


@pytest.mark.parametrize("whose", ["ours", "the service's"])
@pytest.mark.parametrize("what", ["str", "int", "datetime"])
async def test_adapters_of_sqlite_that_change_what_is_written_are_refused_by_name(
    sqlite_template: Path, tmp_path: Path, what: str, whose: str
) -> None:
    file = copied_file(sqlite_template, tmp_path / "sessions.db")

    outcome = await registered(what, whose, sqlite_url(file))

    if what == "datetime":  # no parameter is one
        assert outcome == "worked"
    else:
        assert outcome.startswith(f"refused: sqlite3.register_adapter() was given an adapter for {what}")

"""Migrations that are killed at each of their statements."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.sqlite import sqlite_url

from ..support.processes import python


@pytest.mark.parametrize("database_kind", ["postgresql", "sqlite"])
async def test_a_migration_that_is_killed_at_any_statement_is_done_or_not_and_the_next_one_succeeds(
    request: pytest.FixtureRequest, tmp_path: Path, database_kind: str
) -> None:
    url = (
        request.getfixturevalue("bare_database").url
        if database_kind == "postgresql"
        else sqlite_url(tmp_path / "new.db")
    )
    ended = await python("-m", "tests.migrate.killing", url)
    assert ended.status == 0, ended.output
    kills = [int(line.split()[-2]) for line in ended.output.splitlines()]
    assert len(kills) == 2 * len(REVISIONS)
    assert all(count >= 5 for count in kills), ended.output

"""A command loads what it needs: SQLAlchemy, Alembic and Rich take longer to load than most commands take to run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .conftest import Store

SLOW = ("sqlalchemy", "alembic", "psycopg", "asyncpg", "aiosqlite", "rich")

RUN = f"""
import sys
from sessionstore.cli import main
try:
    main()
finally:
    print(*(name for name in {SLOW} if name in sys.modules), file=sys.stderr)
"""


def loaded_by(*arguments: str) -> set[str]:
    """Which of the slow packages the command loads in a fresh interpreter."""
    ended = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=True)
    return set(ended.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["migrate", "upgrade", "--help"]])
def test_the_version_and_help_load_no_slow_package(arguments: list[str]) -> None:
    assert loaded_by(*arguments) == set()


@pytest.mark.parametrize("provider_kind", ["sqlite"])
def test_a_command_that_prints_json_loads_the_driver_of_its_database_only(store: Store) -> None:
    assert loaded_by("list", "--json", "--database-url", store.url) == {"sqlalchemy", "aiosqlite"}


@pytest.mark.parametrize("provider_kind", ["sqlite"])
def test_migrating_loads_alembic(store: Store) -> None:
    assert "alembic" in loaded_by("migrate", "check", "--database-url", store.url)

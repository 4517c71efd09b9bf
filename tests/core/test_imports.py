from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import sessionstore

HEAVY = ("sqlalchemy", "alembic", "psycopg", "psycopg_pool", "asyncpg", "aiosqlite", "typer", "click", "rich")


def loaded_after(code: str) -> list[str]:
    """The heavy packages that a new interpreter has loaded after it ran the code."""
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*(name for name in {HEAVY} if name in sys.modules))"],
        cwd=Path(sessionstore.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.split()


USE_MEMORY = """
import asyncio
from sessionstore import MemoryStorageProvider, Reaper, SessionManager, open_storage
async def main():
    async with open_storage("memory://") as storage:
        chats = SessionManager(lambda session_id: {}, storage)
        (await chats.create_session("s")).unwrap()
        await Reaper(storage).run_once()
asyncio.run(main())
"""


def test_a_service_that_keeps_sessions_in_memory_loads_no_database_package() -> None:
    assert loaded_after("import sessionstore") == []
    assert loaded_after(USE_MEMORY) == []


def test_naming_the_sql_provider_loads_sqlalchemy_and_no_command() -> None:
    loaded = loaded_after("import sessionstore\nsessionstore.SqlStorageProvider")
    assert "sqlalchemy" in loaded
    assert {"alembic", "typer", "click", "rich"}.isdisjoint(loaded)


def test_public_names_are_listed_in_order() -> None:
    assert sessionstore.__all__ == sorted(set(sessionstore.__all__))
    public = {
        name
        for name, value in vars(sessionstore).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and name not in ("Any", "TYPE_CHECKING", "annotations")
    }
    assert public | {"SqlStorageProvider"} == set(sessionstore.__all__)


def test_every_listed_name_can_be_imported() -> None:
    namespace: dict[str, Any] = {}
    exec("from sessionstore import *", namespace)  # noqa: S102  # a star import has no other place than a module
    assert namespace.keys() - {"__builtins__"} == set(sessionstore.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'sessionstore' has no attribute 'no_such'"):
        _ = sessionstore.no_such
    assert not hasattr(sessionstore, "storage_of_tomorrow")


def test_the_package_is_marked_as_typed() -> None:
    assert files("sessionstore").joinpath("py.typed").is_file()

"""Sessions and items stay as they are, and can be read, through upgrades and downgrades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from sessionstore import SessionManager, migrate, open_storage
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.sqlite import sqlite_url
from sessionstore.testing.support.documents import new_chat

from .later import WITH_COLUMNS, WITH_INDEX
from .rows import NAMESPACE, fill_table, rows_of

_ITEMS: list[JsonValue] = [{"b": 1, "a": "\x00\ud800"}, 10**30, None]


async def _read(url: str) -> list[tuple[str, Any, list[Any]]]:
    """Each session's id, state and items, by the library."""
    async with open_storage(url) as storage:
        manager: SessionManager[dict[str, Any]] = SessionManager(new_chat, storage, NAMESPACE)
        names = [info.session_id for info in (await manager.list_sessions()).sessions]
        found = [await manager.get_session(name, last_items=10, touch=False) for name in names]
        return [(it.session_id, it.unwrap(), [item.data for item in it.items]) for it in found]


@pytest.mark.parametrize("database_kind", ["postgresql", "sqlite"])
async def test_sessions_and_items_are_unchanged_and_readable_after_upgrades_and_downgrades(
    request: pytest.FixtureRequest, tmp_path: Path, later: Path, database_kind: str
) -> None:
    url = sqlite_url(tmp_path / "new.db")
    if database_kind == "postgresql":
        url = request.getfixturevalue("bare_database").url
    first, head = REVISIONS[0], REVISIONS[-1]
    migrate.upgrade(url, revision=first)
    fill_table(url)
    rows = rows_of(url)
    assert len(rows) == 5

    migrate.upgrade(url, revision=head)
    assert rows_of(url) == rows
    assert await _read(url) == [(f"s{n}", {"n": n}, []) for n in range(1, 6)]

    async with open_storage(url) as storage:
        manager: SessionManager[dict[str, Any]] = SessionManager(new_chat, storage, NAMESPACE)
        for n in range(1, 6):
            (await manager.append_items(f"s{n}", _ITEMS)).unwrap()
    rows, read = rows_of(url), await _read(url)
    assert [items for _, _, items in read] == [_ITEMS] * 5
    for revision in (WITH_INDEX, WITH_COLUMNS):
        migrate.upgrade(url, revision=revision)
        assert await _read(url) == read
    for revision in (WITH_INDEX, head):
        migrate.downgrade(url, revision=revision)
        assert await _read(url) == read

    # As the documentation says, a downgrade to the first revision deletes the items, and only those.
    migrate.downgrade(url, revision=first)
    assert rows_of(url) == rows
    migrate.upgrade(url, revision=head)
    assert rows_of(url) == rows
    assert await _read(url) == [(name, state, []) for name, state, _ in read]

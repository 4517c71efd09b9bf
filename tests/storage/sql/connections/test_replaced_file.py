"""SQLite's file is deleted, or another one is put in its place, under a service that goes on."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from sessionstore import SessionManager, StorageError
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import increment, new_chat
from tests.support.opening import WAYS, opened


def remove(file: Path, *endings: str) -> None:
    for ending in endings:
        Path(f"{file}{ending}").unlink(missing_ok=True)


def have_log(file: Path) -> None:
    """There is one where the database keeps one."""
    Path(f"{file}-wal").touch()


@pytest.mark.parametrize("way", WAYS)
async def test_writes_after_the_file_was_replaced_go_to_the_new_file(
    way: str, sqlite_template: Path, tmp_path: Path
) -> None:
    file = copied_file(sqlite_template, tmp_path / "sessions.db")
    async with opened(way, sqlite_url(file)) as storage:
        chats = SessionManager(new_chat, storage)
        await asyncio.gather(*(chats.create_session(f"s{at}") for at in range(20)))
        os.replace(copied_file(sqlite_template, tmp_path / "other.db"), file)  # noqa: PTH105

        remove(file, "-wal", "-shm")
        created = await asyncio.gather(*(chats.create_session(f"s{at}") for at in range(20)))
        updated = await asyncio.gather(*(chats.update_session(f"s{at}", increment) for at in range(20)))

        assert all(result.created for result in created)
        assert all(result.applied for result in updated)
        with sqlite3.connect(file) as other:
            assert other.execute("SELECT count(*) FROM sessions WHERE json_extract(state, '$.n') = 1").fetchone() == (
                20,
            )
        other.close()


@pytest.mark.parametrize("way", WAYS)
async def test_after_the_file_was_deleted_nothing_is_acknowledged(
    way: str, sqlite_template: Path, tmp_path: Path
) -> None:
    file = copied_file(sqlite_template, tmp_path / "sessions.db")
    async with opened(way, sqlite_url(file)) as storage:
        chats = SessionManager(new_chat, storage)
        await chats.create_session("s")
        remove(file, "", "-wal", "-shm")

        for _ in range(2):
            with pytest.raises(StorageError, match="is gone"):
                await chats.update_session("s", increment)
        assert not file.exists()

        copied_file(sqlite_template, file)
        assert (await chats.create_session("s")).created


async def test_the_log_of_the_old_file_is_not_applied_to_the_new_one(sqlite_template: Path, tmp_path: Path) -> None:
    file = copied_file(sqlite_template, tmp_path / "sessions.db")
    async with opened("open_storage", sqlite_url(file)) as storage:
        chats = SessionManager(new_chat, storage)
        await chats.create_session("s")
        have_log(file)
        await chats.update_session("s", increment)
        os.replace(copied_file(sqlite_template, tmp_path / "other.db"), file)  # noqa: PTH105

        with pytest.raises(StorageError, match="-wal and -shm"):
            await chats.update_session("s", increment)
        remove(file, "-wal", "-shm")
        assert (await chats.create_session("s")).created

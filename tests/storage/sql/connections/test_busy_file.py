"""A SQLite file that another process is writing: reads are answered at once."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from sessionstore import SessionManager, open_storage
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import TTL, new_chat


async def test_a_read_does_not_wait_for_another_writer_of_the_file(
    sqlite_template: Path, tmp_path: Path, clock: ManualClock
) -> None:
    file = copied_file(sqlite_template, tmp_path / "sessions.db")
    async with open_storage(sqlite_url(file), clock=clock) as storage:
        chats = SessionManager(new_chat, storage, "chat", ttl=TTL)
        names = [f"s{n}" for n in range(20)]
        for name in names:
            await chats.create_session(name)
        clock.advance(TTL / 2)
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with asyncio.timeout(2.5):  # others are waited for for longer
                for _ in range(3):
                    for result in await asyncio.gather(*(chats.get_session(name) for name in names)):
                        assert result.success
                        assert result.metadata is not None
                        assert result.metadata.expires_at == clock() + TTL * 0.6
            other.execute("ROLLBACK")
        async with asyncio.timeout(20):
            for name in names:
                while not await _moved(chats, name, clock):  # noqa: ASYNC110  # tried again in a while
                    await asyncio.sleep(0.01)


async def _moved(chats: SessionManager[dict[str, object]], name: str, clock: ManualClock) -> bool:
    metadata = (await chats.get_session(name, touch=False)).metadata
    return metadata is not None and metadata.expires_at == clock() + TTL * 1.1

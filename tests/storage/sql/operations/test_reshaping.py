"""States that are rewritten while other transactions hold their rows."""

from __future__ import annotations

from typing import Any

from sessionstore import SessionManager, UpgradeReport, open_storage
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import draft, key, new_chat
from tests.support.bystander import locked


async def test_a_held_row_is_skipped_and_counted(postgres: Database, url: str) -> None:
    async with open_storage(url) as storage:
        chats: SessionManager[Any] = SessionManager(
            new_chat, storage, "chat", state_version=2, upgrades={1: lambda state: {"was": state}}
        )
        await storage.create_many([draft("s"), draft("t")])
        with locked(postgres, "s"):
            assert await chats.upgrade_states() == UpgradeReport(states=1, held=1, complete=True)
            held = await storage.get(key("s"), touch=False)
            assert held is not None
            assert held.state_version == 1
        assert await chats.upgrade_states() == UpgradeReport(states=1, complete=True)

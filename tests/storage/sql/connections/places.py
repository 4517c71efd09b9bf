"""A migrated database that is reached through one driver, and what others see in it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

import aiosqlite
import asyncpg
import psycopg

from sessionstore import SessionManager, SqlStorageProvider
from sessionstore.testing.support.documents import increment, new_chat


@dataclass
class Place:
    """A migrated database, reached through one driver."""

    driver: str
    url: str
    bystander: str

    def stored(self, session_id: str) -> Any:
        """The count of a session as another connection sees it; None: there is no such session."""
        statement = "SELECT CAST(state AS text) FROM {} WHERE session_id = '{}'"
        if self.driver == "sqlite":
            with sqlite3.connect(self.bystander) as connection:
                row = connection.execute(statement.format("sessions", session_id)).fetchone()
            connection.close()
        else:
            with psycopg.connect(self.bystander) as other:
                row = other.execute(statement.format("sessionstore.sessions", session_id).encode()).fetchone()
        return None if row is None else json.loads(row[0])["n"]

    async def connect(self) -> Any:
        """A new connection of the driver."""
        if self.driver == "sqlite":
            return await aiosqlite.connect(self.bystander)
        if self.driver == "asyncpg":
            return await asyncpg.connect(self.bystander)
        return await psycopg.AsyncConnection.connect(self.bystander)


async def assert_committed(storage: SqlStorageProvider, place: Place) -> None:
    """What calls of each kind acknowledge is there for others, call by call."""
    chats = SessionManager(new_chat, storage)
    try:
        assert (await chats.create_session("s")).created
        assert place.stored("s") == 0
        for count in (1, 2):
            assert (await chats.update_session("s", increment)).applied
            assert place.stored("s") == count
        assert (await chats.get_session("s")).unwrap()["n"] == 2
        assert len((await storage.list()).sessions) == 1
        assert (await chats.delete_session("s")).data
        assert place.stored("s") is None
        assert (await chats.create_session("s")).created
        assert place.stored("s") == 0
    finally:
        await storage.close()
    assert place.stored("s") == 0

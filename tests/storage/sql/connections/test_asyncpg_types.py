"""The types for which a codec of asyncpg is refused are those of our statements."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, ClassVar

import asyncpg
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import SessionManager, SqlStorageProvider
from sessionstore.storage.sql.connections.modes import ASYNCPG_TYPES
from sessionstore.testing.postgres import Database, asyncpg_url
from sessionstore.testing.support.documents import draft, increment, key, new_chat


class Recording(asyncpg.Connection):  # type: ignore[misc]
    """Notes the types of the parameters and columns of all statements."""

    types: ClassVar[set[str]] = set()

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        prepared = await self.prepare(query)
        self.types.update(kind.name for kind in prepared.get_parameters())
        self.types.update(column.type.name for column in prepared.get_attributes())
        return await super().fetch(query, *args, **options)


async def test_every_type_of_our_statements_is_looked_at(database: Database) -> None:
    database.empty()
    engine = create_async_engine(asyncpg_url(database.url), connect_args={"connection_class": Recording})
    storage = SqlStorageProvider(engine)
    chats = SessionManager(new_chat, storage, ttl=timedelta(minutes=5), keep_items=9)
    calls: list[Callable[[str], Awaitable[object]]] = [
        lambda of: chats.create_session(of, owner_id="o", items=["x"]),
        lambda of: chats.update_session(of, increment, append=["y"], idempotency_key="k"),
        lambda of: chats.append_items(of, ["z"], ids=[of], idempotency_key="l"),
        lambda of: chats.append_items(f"new {of}", ["z"], create=True),
        lambda of: chats.get_session(of, last_items=2),
        chats.get_items,
        chats.find_item,
        chats.list_logs,
        chats.pop_items,
        lambda of: chats.replace_items(of, ["w"]),
        lambda of: chats.fork_session(of, f"fork of {of}"),
        lambda of: storage.set(draft(of)),
        lambda of: storage.touch(key(of)),
        lambda of: storage.exists(key(of)),
        chats.delete_session,
    ]

    await storage.check()
    for ids in (["a"], ["b", "c", "d"]):  # alone, and in a batch
        for call in calls:
            await asyncio.gather(*map(call, ids))
    await chats.list_sessions(prefix="f")
    await storage.stats()
    await storage.count_expired()
    await storage.purge_expired()
    await engine.dispose()

    assert Recording.types == set(ASYNCPG_TYPES)

"""A write that waits in the server lands after its connection broke, and after it was sent once more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count

import psycopg
import pytest

from sessionstore import SessionManager
from sessionstore.storage import Summary, Write
from sessionstore.testing.postgres import Database, PostgresServer
from sessionstore.testing.support.documents import TTL, Chat, append, new_chat
from tests.support.bystander import ask, dsn, until_blocked

from .late_landings import LOCK, WAITING
from .proxy import Proxy
from .ways import WAYS, migrated, through


@contextmanager
def writes_waiting(database: Database) -> Iterator[None]:
    """All who write a state wait."""
    with psycopg.connect(dsn(database.url), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        yield


@pytest.mark.parametrize("together", [1, 3])
@pytest.mark.parametrize("way", WAYS)
async def test_version_state_and_facts_are_those_of_one_write(server: PostgresServer, way: str, together: int) -> None:
    async with (
        migrated(server) as database,
        Proxy(database.url) as proxy,
        through(proxy.url, way) as storage,
    ):
        chats: SessionManager[Chat] = SessionManager(new_chat, storage, "chat", ttl=TTL)
        first = (await chats.create_session("s")).version
        assert first is not None
        for statement in WAITING:
            await asyncio.to_thread(ask, database, statement)
        words = count()
        again = asyncio.Event()
        plain = storage.update_many

        async def writing(writes: Sequence[Write]) -> Sequence[Summary | None]:
            written = await plain(writes)  # the first time this raises
            again.set()
            return written

        storage.update_many = writing  # type: ignore[method-assign]

        def say(state: Chat) -> None:
            """Says something else each time that it is applied."""
            state["turns"].append(next(words))

        with writes_waiting(database):
            updates = [asyncio.ensure_future(chats.update_session("s", say)) for _ in range(together)]
            await until_blocked(database)
            proxy.leave()
            async with asyncio.timeout(30):
                await again.wait()
        async with asyncio.timeout(30):
            results = await asyncio.gather(*updates)
        found = await chats.get_session("s", touch=False)
        assert found.version == first + together
        (last,) = [result for result in results if result.version == found.version]
        assert (last.applied, last.data, last.metadata) == (True, found.data, found.metadata)
        stored = found.unwrap()["turns"]
        assert len(set(stored)) == together
        for result in results:
            assert result.version is not None
            assert result.unwrap()["turns"] == stored[: result.version - first]
        assert (await chats.update_session("s", append("next"))).unwrap()["turns"] == [*stored, "next"]

"""Sessions that expire, or begin to live, while a call waits for a lock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import psycopg
import pytest

from sessionstore import SessionManager, SessionNotFoundError, SqlStorageProvider, open_storage
from sessionstore.storage import Creation
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import Chat, draft, increment, key, rewrite
from tests.storage.sql.operations.held import Call, batching, chats, storage
from tests.support.bystander import ask, dsn, until, until_blocked

__all__ = ["batching", "chats", "storage"]


@contextmanager
def _over_its_expiry(postgres: Database, statement: str) -> Iterator[Any]:
    """Somebody else does this in a transaction that ends after the session "s0" has expired."""
    ask(postgres, "UPDATE sessionstore.sessions SET expires_at = clock_timestamp() + interval '0.5 s'")
    with psycopg.connect(dsn(postgres.url)) as holder:
        holder.execute(statement.encode())
        yield holder
        holder.rollback()


_LOOKS: Final[dict[str, Call]] = {
    "get": lambda storage: storage.get(key("s0")),
    "look": lambda storage: storage.get(key("s0"), touch=False),
    "exists": lambda storage: storage.exists(key("s0")),
    "touch": lambda storage: storage.touch(key("s0")),
    "update_locked": lambda storage: storage.update_locked(key("s0"), lambda it: rewrite(it, "{}")),
    "delete": lambda storage: storage.delete(key("s0")),
    "clear": lambda storage: storage.clear("chat"),
    "list": lambda storage: _listed(storage),  # noqa: PLW0108  # defined below
}


async def _listed(storage: SqlStorageProvider) -> Any:
    return [*(await storage.list("chat")).sessions]


@pytest.mark.parametrize("call", _LOOKS.values(), ids=list(_LOOKS))
async def test_a_session_that_expired_during_the_wait_for_a_table_lock_is_gone(
    storage: SqlStorageProvider, postgres: Database, call: Call
) -> None:
    await storage.create(draft("s0"))
    await storage.exists(key("s0"))  # the first call looks at the tables
    with _over_its_expiry(postgres, "LOCK TABLE sessionstore.sessions IN ACCESS EXCLUSIVE MODE"):
        calling = asyncio.ensure_future(call(storage))
        await until_blocked(postgres)
        ask(postgres, "SELECT pg_sleep(0.8)")
    assert not await calling
    assert not await storage.exists(key("s0"))


_HELD: Final = "SELECT FROM sessionstore.sessions FOR UPDATE"


async def test_an_update_that_waits_for_a_row_until_it_expires_finds_no_session(
    storage: SqlStorageProvider, chats: SessionManager[Chat], postgres: Database
) -> None:
    await chats.create_session("s0")
    with _over_its_expiry(postgres, _HELD):
        updating = [asyncio.ensure_future(chats.update_session("s0", increment)) for _ in range(3)]
        locking = asyncio.ensure_future(storage.delete(key("s0")))
        await until(postgres, "SELECT expires_at < clock_timestamp() FROM sessionstore.sessions")
        assert not (await chats.get_session("s0")).success
    assert {type((await task).error) for task in updating} == {SessionNotFoundError}
    assert await locking is False
    assert not (await chats.get_session("s0")).success


async def test_a_session_that_expires_while_an_update_waits_for_its_lock_is_gone(url: str, postgres: Database) -> None:
    async with open_storage(url) as storage:
        await storage.create(draft("s0"))
        with _over_its_expiry(postgres, _HELD):
            updating = asyncio.ensure_future(storage.update_locked(key("s0"), lambda it: rewrite(it, "{}")))
            await until_blocked(postgres)
            await until(postgres, "SELECT expires_at < clock_timestamp() FROM sessionstore.sessions")
        assert await updating is None
        assert not await storage.exists(key("s0"))


_NEW: Final[dict[str, Call]] = {
    "create": lambda storage: storage.create(draft("s0", ttl=timedelta(seconds=1))),
    "set": lambda storage: storage.set(draft("s0", ttl=timedelta(seconds=1))),
}


@pytest.mark.parametrize("call", _NEW.values(), ids=list(_NEW))
@pytest.mark.parametrize("wait", [0.5, 1.5], ids=["half of its life", "longer than its life"])
async def test_a_session_whose_creation_waited_lives_its_whole_life(
    url: str, postgres: Database, call: Call, wait: float
) -> None:
    async with open_storage(url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await storage.exists(key("s0"))
        with psycopg.connect(dsn(postgres.url)) as other:
            other.execute(
                "INSERT INTO sessionstore.sessions (namespace, session_id, state, version, created_at, updated_at, "
                "last_accessed_at) VALUES ('chat', 's0', '{}', 1, now(), now(), now())"
            )
            making = asyncio.ensure_future(call(storage))
            await until_blocked(postgres)
            ask(postgres, f"SELECT pg_sleep({wait})")
            ((freed,),) = ask(postgres, "SELECT clock_timestamp()")
            other.rollback()
        made = await making
        summary = made.document.summary if hasattr(made, "document") else made
        assert summary.expires_at >= freed + timedelta(seconds=1)
        stored = await storage.get(key("s0"), touch=False)
        assert stored is not None
        assert stored.summary.expires_at == summary.expires_at
        assert not isinstance(made, Creation) or made.created

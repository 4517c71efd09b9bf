"""A creation whose answer was lost lands late: it revives no session that was deleted after the creation was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from sessionstore import SqlStorageProvider, UpdateOutcomeUnknownError
from sessionstore.storage import Creation, Draft
from sessionstore.storage.sql.connections.gateway import Gateway
from sessionstore.storage.sql.connections.operation import Operation
from sessionstore.testing.postgres import Database, PostgresServer, dsn
from sessionstore.testing.support.documents import draft, key
from tests.support.late import LateGateway


@pytest.fixture
async def storage(url: str) -> AsyncIterator[SqlStorageProvider]:
    async with SqlStorageProvider.from_url(url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        yield storage


@pytest.fixture
def gateway(storage: SqlStorageProvider, monkeypatch: pytest.MonkeyPatch) -> LateGateway:
    gateway = LateGateway(storage._gateway)
    monkeypatch.setattr(storage._fetching, "_gateway", gateway)
    return gateway


@pytest.mark.parametrize("lost", [1, 2, 3], ids=["once", "twice", "three times"])
@pytest.mark.parametrize("together", [1, 3])
async def test_a_late_creation_revives_no_deleted_session(
    storage: SqlStorageProvider, gateway: LateGateway, together: int, lost: int
) -> None:
    names = [f"s{n}" for n in range(together)]
    gateway.late = lost
    created = await storage.create_many([draft(name) for name in names])
    assert [creation.created for creation in created] == [True] * together
    assert await storage.delete_many([key(name) for name in names]) == [True] * together
    await gateway.land()
    assert await storage.exists_many([key(name) for name in names]) == [False] * together


@pytest.mark.parametrize("together", [1, 3])
async def test_a_late_creation_replaces_no_session_that_expired(
    storage: SqlStorageProvider, gateway: LateGateway, postgres: Database, together: int
) -> None:
    names = [f"s{n}" for n in range(together)]
    gateway.late = 1
    await storage.create_many([draft(name) for name in names])
    PostgresServer(postgres.url).execute("UPDATE sessionstore.sessions SET expires_at = now() - interval '1 hour'")
    await gateway.land()
    assert await storage.exists_many([key(name) for name in names]) == [False] * together


async def test_a_creation_that_landed_before_its_look_up_returns_its_session(
    storage: SqlStorageProvider, gateway: LateGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = gateway.run

    async def run(operation: Operation[Any], **how: Any) -> Any:
        if not gateway.late:
            monkeypatch.setattr(gateway, "run", plain)
            await gateway.land()
        return await plain(operation, **how)

    gateway.late = 1
    monkeypatch.setattr(gateway, "run", run)
    sent = draft()
    creation = await storage.create(sent)
    assert (creation.created, creation.document.summary.version) == (True, sent.version)
    assert await storage.delete(key())


async def test_no_late_creation_is_under_way_after_the_creation_returned(
    storage: SqlStorageProvider, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = draft()
    with _slow(postgres, sent) as slow:
        gateway = _Leaving(storage._gateway, slow)
        monkeypatch.setattr(storage._fetching, "_gateway", gateway)
        creating = asyncio.create_task(storage.create(sent))
        looking = asyncio.create_task(gateway.looking.wait())
        await asyncio.wait([creating, looking], return_when=asyncio.FIRST_COMPLETED)
        told_early = creating.done()
        if told_early:
            assert await storage.delete(key())
        slow.go_on()
        creation: Creation = await creating
        await gateway.left
        looking.cancel()
    assert creation.created
    assert not told_early
    assert await storage.delete(key())
    assert not await storage.exists(key())


class _Slow:
    """A creation that the server takes long for, after it took its snapshot."""

    def __init__(self, holder: psycopg.Connection[Any]) -> None:
        self._holder = holder

    async def begun(self) -> None:
        """Waits until the server is at it."""
        waiting = b"SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while self._holder.execute(waiting).fetchone() is None:  # noqa: ASYNC110  # another process tells by the table
            await asyncio.sleep(0.001)

    def go_on(self) -> None:
        self._holder.execute("SELECT pg_advisory_unlock_all()")


@contextmanager
def _slow(database: Database, late: Draft) -> Iterator[_Slow]:
    """Makes the INSERT of a draft wait in a trigger, as it would for a disk or for a lock."""
    with psycopg.connect(dsn(database.url), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(5)")
        holder.execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS "
            "$$ BEGIN PERFORM pg_advisory_xact_lock_shared(5); RETURN NEW; END $$"
        )
        holder.execute(
            "CREATE TRIGGER wait BEFORE INSERT ON sessionstore.sessions FOR EACH ROW "
            f"WHEN (NEW.version = {late.version}) EXECUTE FUNCTION wait()".encode()
        )
        yield _Slow(holder)


class _Leaving:
    """Loses the answer of the first write while the server is at it."""

    def __init__(self, gateway: Gateway, slow: _Slow) -> None:
        self.left: asyncio.Task[Any]
        self.looking = asyncio.Event()
        self._gateway = gateway
        self._slow = slow
        self._runs = 0

    async def run(self, operation: Operation[Any], *, writing: bool, **how: Any) -> Any:
        self._runs += 1
        if self._runs == 1:
            self.left = asyncio.create_task(self._gateway.run(operation, writing=writing, **how))
            await self._slow.begun()
            raise UpdateOutcomeUnknownError("lost")
        if self._runs > 3:  # used up, looked once; it looks again because the creation is under way
            self.looking.set()
        return await self._gateway.run(operation, writing=writing, **how)

"""A server that has fewer connections in all than the pools of its services want."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from datetime import timedelta

import psycopg
import pytest

from sessionstore import SessionManager, SqlStorageProvider, StorageUnavailableError
from sessionstore.testing.postgres import Database
from tests.support.bystander import ask, backends, dsn

from .pair import mark, opened_in
from .server import Cluster, clusters, until
from .tally import State
from .ways import through
from .writers import sessions_of

_CONNECTIONS = 8
_CALLS = 40


@pytest.fixture(scope="module")
def small() -> Iterator[Cluster]:
    with clusters(1) as (cluster,):
        cluster.initialize()
        cluster.start(max_connections=str(_CONNECTIONS), autovacuum="off")
        Database(cluster.url).migrate()
        yield cluster


@pytest.fixture(params=["open_storage", "service's engine"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def _work(manager: SessionManager[State], name: str) -> None:
    """Many calls at once, in turn, on sessions of its own."""
    names = [f"{name}-{n}" for n in range(_CALLS)]
    assert all(result.success for result in await asyncio.gather(*map(manager.create_session, names)))
    calls = [manager.update_session(each, mark) for each in names] + [manager.get_session(each) for each in names]
    assert all(result.success for result in await asyncio.gather(*calls))


async def test_two_services_that_want_more_than_the_server_has_are_served(
    small: Cluster, driver: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="sessionstore"):
        async with opened_in(way, small.url, driver) as first, opened_in(way, small.url, driver) as second:
            managers = {f"{driver} {way} {n}": sessions_of(storage) for n, storage in enumerate((first, second))}
            for _ in range(3):
                async with asyncio.timeout(60):
                    await asyncio.gather(*(_work(manager, name) for name, manager in managers.items()))
                for name, manager in managers.items():
                    await asyncio.gather(*(manager.delete_session(f"{name}-{n}") for n in range(_CALLS)))
    told = [record for record in caplog.records if "gives no more connections" in record.getMessage()]
    assert len(told) <= 2


async def test_an_idle_service_leaves_its_connections_to_others(small: Cluster, driver: str) -> None:
    await asyncio.to_thread(until, lambda: not backends(Database(small.url)))
    async with through(small.url, driver) as first, through(small.url, driver) as second:
        assert isinstance(first, SqlStorageProvider)
        resting = sessions_of(first)
        assert (await resting.get_session("rests")).success is False
        connections = first._gateway.channel.connections
        leases = [await connections.take() for _ in range(_CONNECTIONS)]
        waiting = asyncio.create_task(connections.take())
        async with asyncio.timeout(30):
            while not connections._scarce._waiting:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.01)
            await connections.give_back(leases.pop())
            leases.append(await waiting)
            for lease in leases:
                await connections.give_back(lease)
            await _work(sessions_of(second), f"{driver} beside")
            while connections.idle:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.05)
        assert (await resting.get_session("rests")).success is False


async def test_a_service_without_a_connection_of_its_own_waits_for_one(small: Cluster, driver: str, way: str) -> None:
    await asyncio.to_thread(until, lambda: not backends(Database(small.url)))
    async with opened_in(way, small.url, driver) as storage:
        manager = sessions_of(storage)
        with ExitStack() as others:
            for _ in range(_CONNECTIONS):
                others.enter_context(psycopg.connect(dsn(small.url)))
            with pytest.raises(StorageUnavailableError):
                await manager.get_session("s", timeout=timedelta(seconds=0.3))
            calls = [asyncio.create_task(_work(manager, f"{driver} {way} waits"))]
            done, _ = await asyncio.wait(calls, timeout=0.3)
            assert not done
        async with asyncio.timeout(30):
            await calls[0]


async def test_many_services_on_few_connections_are_all_served(small: Cluster, driver: str) -> None:
    async with AsyncExitStack() as stack:
        storages = [await stack.enter_async_context(through(small.url, driver)) for _ in range(6)]
        async with asyncio.timeout(60):
            await asyncio.gather(*(_work(sessions_of(each), f"{driver} m{n}") for n, each in enumerate(storages)))
    await asyncio.to_thread(until, lambda: not backends(Database(small.url)))
    ((kept,),) = ask(Database(small.url), "SELECT count(*) FROM sessionstore.sessions WHERE session_id LIKE '% m%'")
    assert kept >= 6 * _CALLS


async def test_a_server_that_is_gone_is_not_reported_as_short_of_connections(
    small: Cluster, driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(until, lambda: not backends(Database(small.url)))
    async with through(small.url, driver) as storage:
        assert isinstance(storage, SqlStorageProvider)
        manager = sessions_of(storage)
        await manager.get_session("s")
        connections = storage._gateway.channel.connections
        lease = await connections.take()
        await asyncio.to_thread(small.kill)
        with caplog.at_level(logging.WARNING, logger="sessionstore"):
            waiting = asyncio.create_task(manager.get_session("s"))
            async with asyncio.timeout(30):
                while not connections._scarce._waiting:  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0.01)
                await connections.discard(lease, lost=True)
                with pytest.raises(StorageUnavailableError):
                    await waiting
        assert "gives no more connections" not in caplog.text
        await asyncio.to_thread(small.start, max_connections=str(_CONNECTIONS), autovacuum="off")
        assert (await manager.get_session("s")).success is False

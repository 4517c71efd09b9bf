"""A name, or a URL of two hosts, that leads to another server: a standby, a promoted one, a primary that only reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from sessionstore import SessionManager, SqlStorageProvider, StorageProvider, StorageUnavailableError
from tests.support.bystander import ask
from tests.support.postgres import Database

from .failover import url_of_both
from .proxy import Proxy
from .server import Cluster, clusters, until
from .tally import State
from .ways import through
from .writers import sessions_of

_SESSIONS = 10
_CONNECTIONS = 10
_UPDATES = 50


@pytest.fixture(params=["psycopg", "asyncpg"])
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Cluster]]:
    """A primary with the sessions in it, and an empty one."""
    with clusters(2) as (primary, other):
        primary.initialize()
        primary.start()
        Database(primary.url).migrate()
        asyncio.run(_create_sessions(primary))
        yield [primary, other]


@pytest.fixture
def primary(servers: list[Cluster]) -> Iterator[Cluster]:
    yield servers[0]
    _let_write(servers[0], True)


@pytest.fixture
def standby(servers: list[Cluster], primary: Cluster) -> Cluster:
    """A standby of the primary, with the sessions in it; a new one where the last was promoted."""
    standby = servers[1]
    if standby.runs and ask(Database(standby.url), "SELECT pg_is_in_recovery()") == [(True,)]:
        return standby
    if standby.runs:
        standby.stop(immediately=True)
    standby.copy_of(primary)
    standby.start()
    return standby


async def _create_sessions(primary: Cluster) -> None:
    async with through(primary.url, "psycopg") as storage:
        for n in range(_SESSIONS):
            await sessions_of(storage).create_session(f"s{n}")


def _let_write(server: Cluster, writes: bool) -> None:
    """Whether the server lets anybody write, also on connections that are open."""
    database = Database(server.url)
    setting = "RESET default_transaction_read_only" if writes else "SET default_transaction_read_only = on"
    for statement in (f"ALTER SYSTEM {setting}", "SELECT pg_reload_conf()"):
        ask(database, statement)
    # The server has told its connections by the time that a new one finds it.
    until(lambda: ask(database, "SHOW default_transaction_read_only") == [("off" if writes else "on",)])


def _mark(state: State) -> None:
    state["marks"]["n"] = state["marks"].get("n", 0) + 1


async def _fill_pool(storage: StorageProvider) -> SessionManager[State]:
    """Leaves as many idle connections as the pool takes, to where the name leads now."""
    assert isinstance(storage, SqlStorageProvider)
    manager = sessions_of(storage)
    assert (await manager.get_session("s0")).success
    held = storage._gateway.channel.connections
    for lease in [await held.take() for _ in range(_CONNECTIONS)]:
        await held.give_back(lease)
    assert held.idle == _CONNECTIONS
    return manager


async def _refused(manager: SessionManager[State]) -> None:
    with pytest.raises(StorageUnavailableError, match="only reads here, and nothing was written") as caught:
        await manager.update_session("s0", _mark)
    assert caught.value.code == "25006"


async def _all_succeed(manager: SessionManager[State]) -> None:
    """The next update, many at once, and many in turn."""
    first = (await manager.update_session("s0", _mark)).unwrap()["marks"]["n"]
    at_once = [manager.update_session(f"s{n % _SESSIONS}", _mark) for n in range(_UPDATES)]
    assert all(result.success for result in await asyncio.gather(*at_once))
    for _ in range(_UPDATES):
        assert (await manager.update_session("s0", _mark)).success
    after = (await manager.get_session("s0")).unwrap()["marks"]["n"]
    assert after == first + _UPDATES // _SESSIONS + _UPDATES


async def test_updates_heal_after_the_name_led_to_a_standby(primary: Cluster, standby: Cluster, driver: str) -> None:
    async with Proxy(standby.url) as proxy, through(proxy.url, driver) as storage:
        manager = await _fill_pool(storage)
        await _refused(manager)
        await _fill_pool(storage)
        proxy.lead_to(primary.url)
        await _all_succeed(manager)


async def test_connections_to_a_standby_cost_no_update_once_the_name_leads_to_the_primary(
    primary: Cluster, standby: Cluster, driver: str
) -> None:
    async with Proxy(standby.url) as proxy, through(proxy.url, driver) as storage:
        manager = await _fill_pool(storage)
        proxy.lead_to(primary.url)
        at_once = [manager.update_session(f"s{n}", _mark) for n in range(_SESSIONS)]
        assert all(result.success for result in await asyncio.gather(*at_once))
        await _all_succeed(manager)


async def test_updates_move_on_from_a_primary_that_only_reads_now(
    primary: Cluster, standby: Cluster, driver: str
) -> None:
    async with Proxy(primary.url) as proxy, through(proxy.url, driver) as storage:
        manager = await _fill_pool(storage)
        assert (await manager.update_session("s0", _mark)).success
        await asyncio.to_thread(_let_write, primary, False)
        await _refused(manager)
        await _fill_pool(storage)
        await asyncio.to_thread(ask, Database(standby.url), "SELECT pg_promote()")
        proxy.lead_to(standby.url)
        await _all_succeed(manager)


async def test_connections_to_a_standby_write_once_it_is_promoted(standby: Cluster, driver: str) -> None:
    async with Proxy(standby.url) as proxy, through(proxy.url, driver) as storage:
        manager = await _fill_pool(storage)
        await _refused(manager)
        await _fill_pool(storage)
        await asyncio.to_thread(ask, Database(standby.url), "SELECT pg_promote()")
        await _all_succeed(manager)


async def test_a_url_of_both_hosts_finds_the_writer_after_the_roles_changed(
    primary: Cluster, standby: Cluster, driver: str
) -> None:
    async with through(url_of_both(standby, primary), driver) as storage:
        manager = await _fill_pool(storage)
        await _all_succeed(manager)
        await asyncio.to_thread(_let_write, primary, False)
        await asyncio.to_thread(ask, Database(standby.url), "SELECT pg_promote()")
        await _all_succeed(manager)
        await asyncio.to_thread(_let_write, standby, False)
        await asyncio.to_thread(_let_write, primary, True)
        await _all_succeed(manager)

"""A name, or a URL of two hosts, that leads to another server: a standby, a promoted one, a primary that only reads."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy.engine import make_url

from sessionstore import SessionManager, SqlStorageProvider, StorageUnavailableError
from sessionstore.storage.sql.connections import readers
from sessionstore.testing.postgres import Database
from tests.support.bystander import ask, backends, role
from tests.support.opening import disconnect

from .failover import url_of_both
from .pair import SESSIONS, fill_pool, let_write, mark, opened_in
from .proxy import Proxy
from .server import Cluster, until
from .tally import State
from .ways import through
from .writers import sessions_of

_UPDATES = 50
_TABLES = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sessionstore TO {role}"


async def _refused(manager: SessionManager[State]) -> None:
    with pytest.raises(StorageUnavailableError, match="only reads here, and nothing was written") as caught:
        await manager.update_session("s0", mark)
    assert caught.value.code == "25006"


async def _all_succeed(manager: SessionManager[State]) -> None:
    """The next update, many at once, and many in turn."""
    first = (await manager.update_session("s0", mark)).unwrap()["marks"]["n"]
    at_once = [manager.update_session(f"s{n % SESSIONS}", mark) for n in range(_UPDATES)]
    assert all(result.success for result in await asyncio.gather(*at_once))
    for _ in range(_UPDATES):
        assert (await manager.update_session("s0", mark)).success
    after = (await manager.get_session("s0")).unwrap()["marks"]["n"]
    assert after == first + _UPDATES // SESSIONS + _UPDATES


async def test_updates_work_again_after_the_name_led_to_a_standby(
    primary: Cluster, standby: Cluster, driver: str
) -> None:
    async with Proxy(standby.url) as proxy, through(proxy.url, driver) as storage:
        manager = await fill_pool(storage)
        await _refused(manager)
        await fill_pool(storage)
        proxy.lead_to(primary.url)
        await _all_succeed(manager)


async def test_connections_to_a_standby_cost_no_update_once_the_name_leads_to_the_primary(
    primary: Cluster, standby: Cluster, driver: str
) -> None:
    async with Proxy(standby.url) as proxy, through(proxy.url, driver) as storage:
        manager = await fill_pool(storage)
        proxy.lead_to(primary.url)
        at_once = [manager.update_session(f"s{n}", mark) for n in range(SESSIONS)]
        assert all(result.success for result in await asyncio.gather(*at_once))
        await _all_succeed(manager)


async def test_updates_move_on_from_a_primary_that_only_reads_now(
    primary: Cluster, standby: Cluster, driver: str
) -> None:
    async with Proxy(primary.url) as proxy, through(proxy.url, driver) as storage:
        manager = await fill_pool(storage)
        assert (await manager.update_session("s0", mark)).success
        await asyncio.to_thread(let_write, primary, False)
        await _refused(manager)
        await fill_pool(storage)
        await asyncio.to_thread(ask, Database(standby.url), "SELECT pg_promote()")
        proxy.lead_to(standby.url)
        await _all_succeed(manager)


async def test_connections_to_a_standby_write_once_it_is_promoted(standby: Cluster, driver: str) -> None:
    async with Proxy(standby.url) as proxy, through(proxy.url, driver) as storage:
        manager = await fill_pool(storage)
        await _refused(manager)
        await fill_pool(storage)
        await asyncio.to_thread(ask, Database(standby.url), "SELECT pg_promote()")
        await _all_succeed(manager)


async def test_a_url_of_both_hosts_finds_the_writer_after_the_roles_changed(
    primary: Cluster, standby: Cluster, driver: str
) -> None:
    async with through(url_of_both(standby, primary), driver) as storage:
        manager = await fill_pool(storage)
        await _all_succeed(manager)
        await asyncio.to_thread(let_write, primary, False)
        await asyncio.to_thread(ask, Database(standby.url), "SELECT pg_promote()")
        await _all_succeed(manager)
        await asyncio.to_thread(let_write, standby, False)
        await asyncio.to_thread(let_write, primary, True)
        await _all_succeed(manager)


async def test_updates_heal_after_a_role_was_told_to_only_read(primary: Cluster, driver: str) -> None:
    database = Database(primary.url)
    with role(database, "GRANT ALL ON SCHEMA sessionstore TO {role}", _TABLES) as url:
        name = make_url(url).username
        async with through(url, driver) as storage:
            assert isinstance(storage, SqlStorageProvider)
            manager = await fill_pool(storage)
            assert (await manager.update_session("s0", mark)).success
            ask(database, f"ALTER ROLE {name} SET default_transaction_read_only = on")
            # Connections that were made before go on to write, as PostgreSQL has it.
            assert (await manager.update_session("s0", mark)).success
            await disconnect(storage)
            await _refused(manager)
            assert (await manager.get_session("s0")).success
            ask(database, f"ALTER ROLE {name} RESET default_transaction_read_only")
            await _all_succeed(manager)


async def test_calls_wait_for_a_server_that_takes_no_connections_yet(
    primary: Cluster, standby: Cluster, driver: str
) -> None:
    """57P03: as while a server starts, recovers or is being promoted."""
    standby.stop()
    standby.start(hot_standby="off")
    async with through(standby.url, driver) as storage:
        manager = sessions_of(storage)
        with pytest.raises(StorageUnavailableError):
            await manager.get_session("s0", touch=False, timeout=timedelta(seconds=0.3))
        waiting = [asyncio.create_task(manager.update_session(f"s{n}", mark)) for n in range(SESSIONS)]
        waiting += [asyncio.create_task(manager.get_session(f"s{n}")) for n in range(SESSIONS)]
        done, _ = await asyncio.wait(waiting, timeout=0.3)
        assert not done
        standby.promote()
        assert all(result.success for result in await asyncio.gather(*waiting))


async def test_a_call_that_waited_its_time_out_gets_the_error_that_the_server_starts(
    standby: Cluster, driver: str
) -> None:
    standby.stop()
    standby.start(hot_standby="off")
    try:
        async with through(standby.url, driver, pool_timeout=0.3) as storage:
            with pytest.raises(StorageUnavailableError, match="is starting up, shutting down or a standby") as caught:
                await sessions_of(storage).update_session("s0", mark)
            assert caught.value.code == "57P03"
    finally:
        standby.stop()
        standby.start()


@pytest.mark.parametrize("way", ["open_storage", "service's engine", "service's NullPool"])
async def test_a_primary_that_restarts_as_a_standby_is_no_longer_used(
    primary: Cluster, standby: Cluster, driver: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "LOOK_SECONDS", 0.2)
    async with Proxy(primary.url) as proxy, opened_in(way, proxy.url, driver) as storage:
        manager = await fill_pool(storage)
        assert (await manager.update_session("s0", mark)).success
        await asyncio.to_thread(primary.demote)
        try:
            # Its name leads there still.
            assert (await manager.get_session("s0")).success
            await _refused(manager)
            await fill_pool(storage)
            await asyncio.to_thread(ask, Database(standby.url), "SELECT pg_promote()")
            proxy.lead_to(standby.url)
            async with asyncio.timeout(20):
                while backends(Database(primary.url)):
                    assert (await manager.get_session("s0", touch=False)).success
            await _all_succeed(manager)
        finally:
            await asyncio.to_thread(primary.promote)
            await asyncio.to_thread(
                until, lambda: ask(Database(primary.url), "SELECT pg_is_in_recovery()") == [(False,)]
            )


async def test_the_host_that_writes_is_used_by_default_if_there_are_several(
    primary: Cluster, standby: Cluster, driver: str
) -> None:
    url = make_url(url_of_both(standby, primary)).difference_update_query(["target_session_attrs"])
    async with through(url.render_as_string(hide_password=False), driver) as storage:
        await _all_succeed(await fill_pool(storage))

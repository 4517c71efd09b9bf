"""A caller's timeout, where the way to the server swallows everything: it is not the driver's patience that counts."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from time import monotonic

import pytest

from sessionstore import UpdateOutcomeUnknownError
from tests.support.postgres import Database, PostgresServer

from .proxy import Fault, Proxy
from .ways import WAYS, through
from .writers import sessions_of

_TIMEOUT = timedelta(seconds=0.2)
_SOON = 1.0
"""Drivers wait for two seconds and more."""


@pytest.fixture(params=WAYS)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_call_returns_when_its_time_is_up_and_the_next_ones_work(server: PostgresServer, driver: str) -> None:
    async with (
        server.fresh_database_async() as fresh,
        Proxy((await _migrated(fresh)).url) as proxy,
        through(proxy.url, driver) as storage,
    ):
        manager = sessions_of(storage)
        for session in ("stalled", "other"):
            await manager.create_session(session)
        stalling = asyncio.create_task(proxy.strike(Fault.STALL))
        await asyncio.sleep(0)
        began = monotonic()
        with pytest.raises(UpdateOutcomeUnknownError):
            await manager.update_session("stalled", lambda state: state, timeout=_TIMEOUT)
        assert monotonic() - began < _SOON
        await stalling
        assert (await manager.update_session("other", lambda state: state)).success
        assert monotonic() - began < _SOON
        proxy.heal()
        assert (await manager.update_session("stalled", lambda state: state)).success


async def _migrated(database: Database) -> Database:
    return await asyncio.to_thread(database.migrate)

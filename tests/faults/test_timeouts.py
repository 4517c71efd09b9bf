"""A caller's timeout, where the way to the server swallows everything: it is not the driver's patience that counts."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from time import monotonic

import pytest

from sessionstore import UpdateOutcomeUnknownError
from sessionstore.testing.postgres import PostgresServer

from .proxy import Fault, Proxy
from .ways import WAYS, migrated, through
from .writers import sessions_of

_TIMEOUT = timedelta(seconds=0.2)
_PATIENCE = 60.0
_SOON = 1.0
"""Drivers wait for two seconds and more."""


@pytest.fixture(params=WAYS)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_call_ends_at_its_timeout_and_later_calls_work(server: PostgresServer, driver: str) -> None:
    async with (
        migrated(server) as database,
        Proxy(database.url) as proxy,
        through(proxy.url, driver) as storage,
    ):
        manager = sessions_of(storage)
        for session in ("stalled", "other"):
            await manager.create_session(session)
        stalled = proxy.arm(Fault.STALL)
        began = monotonic()
        with pytest.raises(UpdateOutcomeUnknownError):
            await manager.update_session("stalled", lambda state: state, timeout=_TIMEOUT)
        assert monotonic() - began < _SOON
        async with asyncio.timeout(_PATIENCE):
            await stalled.wait()
        assert (await manager.update_session("other", lambda state: state)).success
        assert monotonic() - began < _SOON
        proxy.heal()
        assert (await manager.update_session("stalled", lambda state: state)).success

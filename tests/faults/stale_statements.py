"""Statements that were prepared and that the server does not take any more, under writers who do not hear of it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias

import psycopg

from sessionstore.testing.postgres import Database
from tests.support.bystander import dsn

from .proxy import Proxy
from .server import Cluster
from .tally import Row
from .ways import each_way, through
from .writers import Writers

_Fault: TypeAlias = Callable[[], Awaitable[None]]

_PREPARED_AFTER = 8
"""So often psycopg runs a statement until it prepares it, and more."""


async def stale_statements(cluster: Cluster, times: int) -> list[Row]:
    """Each of the faults so many times."""
    return [await each_way(cluster, times, partial(_one_way, name)) for name in _FAULTS]


@asynccontextmanager
async def _forgotten(proxy: Proxy, _: Database) -> AsyncIterator[_Fault]:
    async def forget() -> None:
        assert proxy.forget() > 0

    yield forget


@asynccontextmanager
async def _changed(_: Proxy, database: Database) -> AsyncIterator[_Fault]:
    types: Iterator[str] = itertools.cycle(["varchar(255)", "text"])
    async with await psycopg.AsyncConnection.connect(dsn(database.url), autocommit=True) as bystander:

        async def change() -> None:
            await bystander.execute(f"ALTER TABLE sessionstore.sessions ALTER owner_id TYPE {next(types)}".encode())

        yield change


_FAULTS = {
    "prepared statements forgotten (DISCARD ALL)": _forgotten,
    "type of a column changed under prepared statements": _changed,
}


async def _one_way(name: str, database: Database, driver: str, times: int) -> Row:
    async with (
        Proxy(database.url) as proxy,
        through(proxy.url, driver) as storage,
        _FAULTS[name](proxy, database) as strike,
    ):
        async with Writers(storage) as writers:
            for _ in range(times):
                for _again in range(_PREPARED_AFTER):
                    await writers.all_move_on()
                await strike()
            await writers.all_move_on()
        return (await writers.row(database.url, name, times)).none_refused()

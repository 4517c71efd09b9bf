"""A role that may have fewer connections than the pool wants, and another number of them each time."""

from __future__ import annotations

import random

import psycopg

from sessionstore.testing.postgres import Database
from tests.support.bystander import dsn, role

from .server import Cluster
from .tally import Row
from .ways import each_way, through
from .writers import Writers

_FAULT = "connections ended, and fewer given than the pool wants"
_MOST = 4
_GRANTS = (
    "GRANT USAGE ON SCHEMA sessionstore TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sessionstore TO {role}",
    "ALTER ROLE {role} CONNECTION LIMIT " + str(_MOST),
)
_END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"


async def few_connections(cluster: Cluster, times: int) -> list[Row]:
    """So many times."""
    return [await each_way(cluster, times, _one_way)]


async def _one_way(database: Database, driver: str, times: int) -> Row:
    with role(database, *_GRANTS) as url:
        name = psycopg.conninfo.conninfo_to_dict(dsn(url))["user"]
        async with (
            through(url, driver) as storage,
            await psycopg.AsyncConnection.connect(dsn(database.url), autocommit=True) as bystander,
        ):
            async with Writers(storage) as writers:
                await writers.all_move_on()
                for _ in range(times):
                    limit = random.randint(1, _MOST)  # noqa: S311
                    await bystander.execute(f"ALTER ROLE {name} CONNECTION LIMIT {limit}".encode())
                    await bystander.execute(_END_ALL, [name])
                    await writers.go_on()
            return (await writers.row(database.url, _FAULT, times)).none_refused()

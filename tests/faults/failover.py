"""The primary is killed and its synchronous standby promoted, under writers whose URL names both hosts."""

from __future__ import annotations

import asyncio

from sqlalchemy.engine import make_url

from sessionstore import open_storage
from sessionstore.testing.postgres import Database
from tests.support.bystander import ask, until

from .server import Cluster, clusters
from .tally import Row
from .writers import Writers

_FAULT = "primary killed, standby promoted"
_SYNCHRONOUS = "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'"


async def failover(_: Cluster, times: int) -> list[Row]:
    """So many times, on servers of its own: the one that was killed comes back as the standby of the other."""
    with clusters(2) as servers:
        primary, standby = servers
        await asyncio.to_thread(primary.initialize)
        await asyncio.to_thread(primary.start)
        await asyncio.to_thread(Database(primary.url).migrate)
        url = url_of_both(primary, standby)
        async with open_storage(url) as storage:
            async with Writers(storage) as writers:
                for _again in range(times):
                    await attach(standby, primary)
                    await writers.all_move_on()
                    await asyncio.to_thread(primary.kill)
                    await asyncio.to_thread(ask, Database(standby.url), "SELECT pg_promote()")
                    primary, standby = standby, primary
                    await writers.go_on()
            return [await writers.row(url, _FAULT, times)]


async def attach(standby: Cluster, primary: Cluster) -> None:
    """From its end on, what is acknowledged is on both."""
    await asyncio.to_thread(standby.copy_of, primary)
    await asyncio.to_thread(standby.start)
    # Only now, so that the copy, which is a primary some day, does not begin with waiting for a standby.
    for statement in ("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"):
        await asyncio.to_thread(ask, Database(primary.url), statement)
    await until(Database(primary.url), _SYNCHRONOUS)


def url_of_both(*hosts: Cluster) -> str:
    """A URL that leads to the one of them that writes."""
    query = {"host": [str(host.directory) for host in hosts], "target_session_attrs": "read-write"}
    url = make_url(hosts[0].url).difference_update_query(["host"]).update_query_dict(query)
    return url.render_as_string(hide_password=False)

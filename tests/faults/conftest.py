"""A primary and its standby, and both drivers of PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from sessionstore.testing.postgres import Database
from tests.support.bystander import ask

from .pair import SESSIONS, let_write
from .server import Cluster, clusters
from .ways import through
from .writers import sessions_of


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
    let_write(servers[0], True)


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
        for n in range(SESSIONS):
            await sessions_of(storage).create_session(f"s{n}")

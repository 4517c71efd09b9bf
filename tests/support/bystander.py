"""What others do in the same database, on connections of their own: look, hold rows, kill, hold less rights."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from sessionstore.testing.postgres import Database
from sessionstore.testing.postgres import dsn as dsn

PASSWORD = f"geheim-{secrets.token_hex(8)}"
"""Of every role made here; it must not be found in any message."""

_OTHERS = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"


def ask(database: Database, query: str, *params: object) -> list[tuple[Any, ...]]:
    """Runs one statement, beside the event loop's own connections; its rows, if it has any."""
    with psycopg.connect(dsn(database.url), autocommit=True) as connection:
        cursor = connection.execute(query.encode(), params or None)
        return cursor.fetchall() if cursor.description else []


def until_refused(conninfo: str, **parameters: Any) -> None:
    """Waits until the server refuses a connection. It acts on a signal or on new rules some time after they came."""
    for _ in range(1000):
        try:
            psycopg.connect(conninfo, **parameters).close()
        except psycopg.OperationalError:
            return
        time.sleep(0.01)
    raise TimeoutError("the server still lets everybody in")


def set_for_everybody(database: Database, setting: str) -> None:
    """What connections that begin from now on find set."""
    ((name,),) = ask(database, "SELECT current_database()")
    ask(database, f'ALTER DATABASE "{name}" SET {setting}')


def backends(database: Database) -> set[int]:
    """The other connections to the database. One that was closed a moment ago may still be among them."""
    return {pid for (pid,) in ask(database, f"SELECT pid FROM pg_stat_activity WHERE {_OTHERS}")}


def kill_connections(database: Database) -> int:
    """Ends all other connections to the database, and waits for it; how many it were (see backends())."""
    return len(ask(database, f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {_OTHERS}"))


@contextmanager
def locked(database: Database, *session_ids: str) -> Iterator[None]:
    """Somebody else holds the rows, and changes nothing in them."""
    with psycopg.connect(dsn(database.url)) as connection:
        rows = "SELECT FROM sessionstore.sessions WHERE session_id = ANY(%s) FOR UPDATE"
        assert connection.execute(rows, [list(session_ids)]).rowcount == len(session_ids)
        yield
        connection.rollback()


@contextmanager
def unwritable(database: Database) -> Iterator[None]:
    """Somebody else lets nobody write the table for a while; reading it is not hindered."""
    with psycopg.connect(dsn(database.url)) as connection:
        connection.execute("LOCK TABLE sessionstore.sessions IN SHARE MODE")
        yield
        connection.rollback()


async def until(database: Database, query: str) -> None:
    """Waits until the query's one value is true. For what the server signals to nobody."""
    async with asyncio.timeout(20):
        while not ask(database, query)[0][0]:  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.01)


async def until_blocked(database: Database, backends: int = 1) -> None:
    """Waits until so many other connections wait for a lock."""
    query = f"SELECT count(*) >= {backends} FROM pg_stat_activity WHERE {_OTHERS} AND wait_event_type = 'Lock'"
    await until(database, query)


async def until_quiet(database: Database) -> None:
    """Waits until no other connection runs anything."""
    await until(database, f"SELECT count(*) = 0 FROM pg_stat_activity WHERE {_OTHERS} AND state <> 'idle'")


async def until_alone(database: Database) -> None:
    """Waits until all other connections are gone, and with them their statistics are told."""
    await until(database, f"SELECT count(*) = 0 FROM pg_stat_activity WHERE {_OTHERS}")


def states_of_others(database: Database) -> set[str]:
    """What the other connections are doing: "idle", "active", "idle in transaction"."""
    return {state for (state,) in ask(database, f"SELECT state FROM pg_stat_activity WHERE {_OTHERS}")}


@contextmanager
def role(database: Database, *grants: str) -> Iterator[str]:
    """A role with these rights, "{role}" being its name; the URL by which it comes in."""
    name = f"sessionstore_test_{secrets.token_hex(6)}"
    ask(database, f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    try:
        for grant in grants:
            ask(database, grant.format(role=name))
        yield make_url(database.url).set(username=name, password=PASSWORD).render_as_string(hide_password=False)
    finally:
        ask(database, f"DROP OWNED BY {name} CASCADE")
        ask(database, f"DROP ROLE {name}")

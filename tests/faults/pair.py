"""What happens to a primary and its standby in the middle of a test, and what a storage makes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import NullPool
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import SessionManager, SqlStorageProvider, StorageProvider
from sessionstore.testing.postgres import Database
from tests.support.bystander import ask

from .server import Cluster, until
from .tally import State
from .ways import through
from .writers import sessions_of

SESSIONS = 10
CONNECTIONS = 10


@asynccontextmanager
async def opened_in(way: str, url: str, driver: str) -> AsyncIterator[SqlStorageProvider]:
    """A provider on an engine of its own or of a service."""
    if way == "open_storage":
        async with through(url, driver) as storage:
            assert isinstance(storage, SqlStorageProvider)
            yield storage
        return
    options = {"poolclass": NullPool} if "NullPool" in way else {"pool_size": 10, "max_overflow": 0}
    engine = create_async_engine(make_url(url).set(drivername=f"postgresql+{driver}"), **options)
    provider = SqlStorageProvider(engine)
    async with provider:
        yield provider
    await engine.dispose()


def let_write(server: Cluster, writes: bool) -> None:
    """Whether the server lets anybody write, also on connections that are open."""
    database = Database(server.url)
    setting = "RESET default_transaction_read_only" if writes else "SET default_transaction_read_only = on"
    for statement in (f"ALTER SYSTEM {setting}", "SELECT pg_reload_conf()"):
        ask(database, statement)
    # The server has told its connections by the time that a new one finds it.
    until(lambda: ask(database, "SHOW default_transaction_read_only") == [("off" if writes else "on",)])


def mark(state: State) -> None:
    state["marks"]["n"] = state["marks"].get("n", 0) + 1


async def fill_pool(storage: StorageProvider) -> SessionManager[State]:
    """Leaves as many idle connections as the pool takes, to where the name leads now."""
    assert isinstance(storage, SqlStorageProvider)
    manager = sessions_of(storage)
    assert (await manager.get_session("s0", touch=False)).success
    held = storage._gateway.channel.connections
    for lease in [await held.take() for _ in range(CONNECTIONS)]:
        await held.give_back(lease)
    assert held.idle == (CONNECTIONS if storage._gateway._owned else 0)
    return manager


def age_sessions(primary: Cluster, standby: Cluster | None = None) -> None:
    """Lets an access of each session move its expiry, also where the standby is asked."""
    ask(
        Database(primary.url),
        "UPDATE sessionstore.sessions SET ttl = interval '1800 s', expires_at = now() + interval '5 min'",
    )
    if standby is not None:
        soon = "SELECT bool_and(expires_at < now() + interval '6 min') FROM sessionstore.sessions"
        until(lambda: ask(Database(standby.url), soon) == [(True,)])


def due(server: Cluster) -> int:
    """How many sessions still have the expiry that age_sessions() gave them."""
    count = "SELECT count(*) FROM sessionstore.sessions WHERE expires_at < now() + interval '6 min'"
    ((found,),) = ask(Database(server.url), count)
    return int(found)

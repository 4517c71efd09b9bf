"""What the hot path costs inside PostgreSQL: no dead index entries, and no scan of the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest

from sessionstore import SessionManager, SqlStorageProvider, open_storage
from sessionstore.storage.sql.drivers.prepared import Prepared
from sessionstore.storage.sql.tables import FIRST_INSTANT
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import TTL, Chat
from tests.support.bystander import ask, dsn, until_alone

_ROWS: Final = 5000

_PARAMS: Final[dict[str, Any]] = {
    "namespace": "chat",
    "session_id": "s17",
    "state": "{}",
    "version": 1,
    "last_write": "",
    "count": 1,
    "write": "",
    "keys": None,
    "keys_read": None,
    "state_version": 1,
    "receipt": "",
    "ttl": 1,
    "max_lifetime": None,
    "origin": None,
    "owner_id": None,
    "now": None,
    "limit": 50,
    "grace": 0,
    "since": FIRST_INSTANT,
}


async def test_updates_leave_nothing_behind_in_the_indexes(postgres: Database, clock: ManualClock) -> None:
    """An update is HOT where it changes no indexed column and finds room on its page (PostgreSQL manual, 66.7)."""
    async with open_storage(postgres.url, clock=clock) as storage:
        chats = SessionManager(lambda _: {"turns": ["x" * 900] * 2}, storage, ttl=TTL)

        def say_another(state: Chat) -> None:
            state["turns"] = [*state["turns"][1:], "y" * 900]

        for n in range(20):
            await chats.create_session(f"s{n}")
        for n in range(500):
            clock.advance(TTL / 3500)
            (await chats.update_session(f"s{n % 20}", say_another)).unwrap()
    await until_alone(postgres)
    counts = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'sessions'"
    ((updates, hot),) = ask(postgres, counts)
    ((moved,),) = ask(postgres, "SELECT count(DISTINCT expires_at) FROM sessionstore.sessions")
    assert updates == 500
    assert moved == 20
    assert hot >= 475


@pytest.fixture(params=["custom", "generic"])
def plan_mode(request: pytest.FixtureRequest) -> str:
    """A plan for these parameters, and the one for any parameters, which a prepared statement gets in the end."""
    return str(request.param)


@pytest.fixture
def filled(postgres: Database) -> Database:
    """Thousands of sessions, of which one in a hundred has expired."""
    ask(
        postgres,
        f"""
        INSERT INTO sessionstore.sessions
            (namespace, session_id, state, version, ttl, created_at, updated_at, last_accessed_at, expires_at)
        SELECT 'chat', 's' || n, '{{"turns": []}}', 1, '30 min', now(), now(), now(),
            now() + CASE WHEN n % 100 = 0 THEN interval '-1 h' ELSE interval '33 min' END
        FROM generate_series(1, {_ROWS}) AS n
        """,
    )
    ask(postgres, "ANALYZE sessionstore.sessions")
    return postgres


@pytest.mark.parametrize("call", ["get", "exists", "update", "touch", "delete", "create"])
async def test_a_call_for_one_session_goes_through_the_primary_key(filled: Database, plan_mode: str, call: str) -> None:
    async with open_storage(filled.url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        plan = _plan(filled, getattr(storage._statements, call).one, plan_mode)
    # A creation also looks whether its version was used up.
    assert _scanned(plan) == ({"sessions_pkey", "deletions_pkey"} if call == "create" else {"sessions_pkey"})


async def test_purging_goes_through_the_index_of_expiries(filled: Database, plan_mode: str) -> None:
    async with open_storage(filled.url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        plan = _plan(filled, storage._statements.purge, plan_mode)
    assert _scanned(plan) == {"ix_sessions_expires_at"}


@pytest.mark.parametrize("analyzed", ["before they expired", "after"])
async def test_a_purge_deletes_by_address_whatever_the_statistics_say(
    filled: Database, plan_mode: str, analyzed: str
) -> None:
    if analyzed == "before they expired":
        ask(filled, "DELETE FROM sessionstore.sessions WHERE expires_at < now()")
        ask(filled, "ANALYZE sessionstore.sessions")
    async with open_storage(filled.url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        plan = _plan(filled, storage._statements.purge, plan_mode)
    (deletion,) = (node for node in _nodes(plan) if node["Node Type"] == "ModifyTable")
    (found,) = (node for node in deletion["Plans"] if node["Parent Relationship"] == "Outer")
    assert found["Node Type"] == "Tid Scan"


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _plan(database: Database, prepared: Prepared, mode: str) -> dict[str, Any]:
    sql, order, constants, *_ = prepared.compiled
    assert order is not None
    with psycopg.connect(dsn(database.url), autocommit=True) as connection:
        if mode == "custom":
            params = {**constants, **_PARAMS}
            explain = f"EXPLAIN (FORMAT JSON) {sql}".encode()
            ((plans,),) = psycopg.RawCursor(connection).execute(explain, [params[name] for name in order])
        else:
            # EXPLAIN (GENERIC_PLAN) would say it in one statement, but PostgreSQL has it only since 16.
            connection.execute(f"PREPARE prepared AS {sql}".encode())
            connection.execute("SET plan_cache_mode = force_generic_plan")
            nulls = ", ".join(["NULL"] * len(order))
            ((plans,),) = connection.execute(f"EXPLAIN (FORMAT JSON) EXECUTE prepared({nulls})".encode())
    plan: dict[str, Any] = plans[0]["Plan"]
    return plan


def _scanned(plan: dict[str, Any]) -> set[str]:
    """The indexes that a plan goes through, and the tables that it goes through without one."""
    here = {plan["Index Name"]} if "Index Name" in plan else set()
    if plan["Node Type"] == "Seq Scan":
        here.add(plan["Relation Name"])
    return here.union(*map(_scanned, plan.get("Plans", ())))

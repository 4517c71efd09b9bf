"""Statements for many sessions go through the primary key, whatever the planner knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest

from sessionstore import SqlStorageProvider, open_storage
from sessionstore.storage.sql.drivers.prepared import Prepared
from sessionstore.testing.postgres import Database, PostgresServer
from tests.support.bystander import ask, dsn

_ROWS: Final = 20_000


@pytest.fixture(scope="module")
def filled(server: PostgresServer) -> Iterator[Database]:
    """Many sessions, of which the planner knows how many. Nothing here changes them."""
    with server.fresh_database() as database:
        ask(
            database.migrate(),
            f"""
            INSERT INTO sessionstore.sessions
                (namespace, session_id, state, version, ttl, created_at, updated_at, last_accessed_at, expires_at)
            SELECT 'chat', 's' || n, jsonb_build_object('said', repeat('x', 200)), 1, '30 min', now(), now(), now(),
                now() + interval '33 min'
            FROM generate_series(1, {_ROWS}) AS n
            """,
        )
        ask(database, "VACUUM ANALYZE sessionstore.sessions")
        yield database


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize("size", [2, 128])
@pytest.mark.parametrize("call", ["get", "get_locked", "exists", "update", "touch", "delete"])
async def test_a_call_for_many_sessions_goes_through_the_primary_key(
    filled: Database, call: str, size: int, *, generic: bool
) -> None:
    async with open_storage(filled.url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        plan = _plan(filled, getattr(storage._statements, call).many, _batch(size), generic=generic)
    nodes = list(_nodes(plan))
    assert "sessions_pkey" in {node.get("Index Name") for node in nodes}
    assert "sessions" not in {node.get("Relation Name") for node in nodes if node["Node Type"] == "Seq Scan"}


def _batch(size: int) -> str:
    step = _ROWS // size
    return json.dumps(
        [
            {"namespace": "chat", "session_id": f"s{n * step + 1}", "state": {}, "version": 1, "count": 1}
            for n in range(size)
        ]
    )


def _plan(database: Database, prepared: Prepared, batch: str, *, generic: bool) -> dict[str, Any]:
    with psycopg.connect(dsn(database.url), autocommit=True) as connection:
        # As the provider's own connections: prepared, and planned for any parameters or for these.
        mode = "force_generic_plan" if generic else "force_custom_plan"
        connection.execute(f"SET plan_cache_mode = {mode}".encode())
        sql, order, constants, *_ = prepared.compiled
        params = {**constants, "batch": batch, "now": None}
        assert order is not None
        rows = psycopg.RawCursor(connection).execute(
            f"EXPLAIN (FORMAT JSON) {sql}".encode(), [params[name] for name in order], prepare=True
        )
        ((plans,),) = rows.fetchall()
    plan: dict[str, Any] = plans[0]["Plan"]
    return plan


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in _nodes(child))]

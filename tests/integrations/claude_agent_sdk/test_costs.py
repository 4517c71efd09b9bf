"""What calls cost does not depend on how long a transcript is, and little on how many sessions a project has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from claude_agent_sdk._internal.sessions import list_sessions_from_store

from sessionstore import open_storage
from sessionstore.integrations.claude_agent_sdk import StoredSessionStore
from sessionstore.testing.postgres import Database
from tests.support.bystander import ask, until_alone
from tests.support.wire import WireCounter

from .entries import entry, key, uuids

_COPIES = """
    INSERT INTO sessionstore.sessions
    SELECT (jsonb_populate_record(s, jsonb_build_object('session_id', 'p/' || n))).*
    FROM sessionstore.sessions AS s, generate_series(1, 9999) AS n
"""
_READ = "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'items'"


class Wired(NamedTuple):
    """A store that is reached through the counter, and its database."""

    wire: WireCounter
    store: StoredSessionStore
    database: Database


@pytest.fixture
async def wired(postgres: Database) -> AsyncIterator[Wired]:
    async with WireCounter(postgres.url) as wire, open_storage(wire.url) as storage:
        yield Wired(wire, StoredSessionStore(storage), postgres)


async def test_an_append_takes_two_round_trips_at_most_and_reads_no_entries(wired: Wired) -> None:
    async with open_storage(wired.database.url) as earlier:
        for transcript in (key(), key(subpath="subagents/agent-1")):
            await StoredSessionStore(earlier).append(transcript, [entry(f"old {n}") for n in range(20_000)])
    await until_alone(wired.database)
    ((before,),) = ask(wired.database, _READ)
    async with open_storage(wired.wire.url) as another:  # which has not written the session a moment ago
        store = StoredSessionStore(another)
        await store.list_sessions("nobody's")  # so that it is connected
        for transcript, most in ((key(), 2), (key(subpath="subagents/agent-1"), 1)):
            with wired.wire.counting() as seen:
                await store.append(transcript, [entry(f"new {n}") for n in range(10)])
            assert len(seen.statements) <= most, seen.statements
        with wired.wire.counting() as seen:
            await store.append(key(), [entry("newest")])
        assert len(seen.statements) == 1, seen.statements
    await until_alone(wired.database)
    ((after,),) = ask(wired.database, _READ)
    assert after - before < 100


async def test_a_new_session_takes_two_round_trips(wired: Wired) -> None:
    await wired.store.append(key("other"), [entry("a")])
    with wired.wire.counting() as seen:
        await wired.store.append(key(), [entry("a"), entry("b")])
    assert len(seen.statements) == 2, seen.statements
    with wired.wire.counting() as seen:
        await wired.store.append(key("p", "t", "subagents/agent-1"), [entry("a"), entry("b")])
    assert len(seen.statements) == 1, seen.statements


async def test_a_long_transcript_is_loaded_in_pages(wired: Wired) -> None:
    await wired.store.append(key(), [entry(f"{n}") for n in range(5_000)])
    with wired.wire.counting() as seen:
        found = await wired.store.load(key())
    assert uuids(found) == [f"{n}" for n in range(5_000)]
    assert len(seen.statements) == 5_000 / 200 + 2, seen.statements


async def test_a_project_of_ten_thousand_sessions_is_listed_in_few_statements(wired: Wired) -> None:
    await wired.store.append(key(), [entry("a")])
    ask(wired.database, _COPIES)
    with wired.wire.counting() as seen:
        listed = await wired.store.list_session_summaries("p")
    assert (len(listed), len(seen.statements)) == (10_000, 10)
    mtimes = [it["mtime"] for it in listed]
    assert mtimes == sorted(set(mtimes), reverse=True)
    with wired.wire.counting() as seen:
        await list_sessions_from_store(wired.store, limit=20)
    assert len(seen.statements) <= 2

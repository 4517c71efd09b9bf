"""The reaper among others: its batches, other reapers, rows that are held, sessions renewed under its hands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager

import psycopg
import pytest

from sessionstore import Reaper, ReapProgress, StorageProvider, open_storage
from sessionstore.testing.clock import START, ManualClock
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import MOMENT, TTL, draft, ids, key, put
from tests.support.bystander import ask, dsn, locked, role, set_for_everybody, until_alone, until_blocked
from tests.support.databases import driven

_LATER = START + 2 * TTL


@pytest.fixture
def later() -> ManualClock:
    """A time at which what was put at START has expired."""
    return ManualClock(_LATER)


async def test_deletions_of_a_batch_are_visible_at_once(url: str, postgres: Database, later: ManualClock) -> None:
    async with open_storage(url, clock=ManualClock()) as storage:
        await put(storage, *(f"s{n}" for n in range(7)))
    left: list[int] = []

    def look(_: ReapProgress) -> None:
        left.extend(count for (count,) in ask(postgres, "SELECT count(*) FROM sessionstore.sessions"))

    async with open_storage(url, clock=later) as storage:
        report = await Reaper(storage, batch_size=3).run_once(on_batch=look)
    assert left == [4, 1, 0]
    assert (report.deleted, report.batches, report.remaining) == (7, 3, 0)


async def test_reapers_at_once_delete_each_row_once(url: str, postgres: Database, later: ManualClock) -> None:
    async with open_storage(url, clock=ManualClock()) as storage:
        await put(storage, *(f"s{n}" for n in range(500)))
        await put(storage, "live", ttl=10 * TTL)
    async with AsyncExitStack() as stack:
        storages = [await stack.enter_async_context(open_storage(url, clock=later)) for _ in range(4)]
        reports = await asyncio.gather(*(Reaper(storage, batch_size=20).run_once() for storage in storages))
        assert sum(report.deleted for report in reports) == 500
        assert ids((await storages[0].list()).sessions) == ["live"]


async def test_rows_that_others_hold_are_passed_over_and_counted(
    url: str, postgres: Database, later: ManualClock
) -> None:
    async with open_storage(url, clock=ManualClock()) as storage:
        await put(storage, *(f"s{n}" for n in range(7)))
    async with open_storage(url, clock=later) as storage, asyncio.timeout(10):
        with locked(postgres, "s0", "s5"):
            report = await Reaper(storage, batch_size=3).run_once()
            assert (report.deleted, report.remaining) == (5, 2)
        assert (await Reaper(storage).run_once()).deleted == 2


async def test_a_batch_does_not_visit_rows_that_earlier_batches_deleted(
    url: str, postgres: Database, later: ManualClock
) -> None:
    made = """
        INSERT INTO sessionstore.sessions
            (namespace, session_id, state, version, created_at, updated_at, last_accessed_at, expires_at)
        SELECT 'chat', n::text, '{}', 1, start, start, start, start + n * interval '1 microsecond'
        FROM generate_series(1, 2000) AS n, (SELECT %s::timestamptz AS start) AS beginning
    """
    ask(postgres, made, START)
    ask(postgres, "ANALYZE sessionstore.sessions")
    async with open_storage(url, clock=later) as storage:
        report = await Reaper(storage, batch_size=40).run_once()
    await until_alone(postgres)
    entries = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'ix_sessions_expires_at'"
    ((read,),) = ask(postgres, entries)
    assert (report.deleted, report.batches, report.remaining) == (2000, 51, 0)
    # To count their items, to delete them, and to see that none before the last of a batch was left; that last one is
    # where the next begins.
    assert 2000 < read <= 3 * 2000 + 2 * 51


async def test_rows_that_were_held_during_a_batch_are_tried_again_at_the_end(
    url: str, postgres: Database, later: ManualClock
) -> None:
    async with open_storage(url, clock=ManualClock()) as storage:
        for n in range(7):
            await put(storage, f"s{n}", ttl=TTL + n * MOMENT)
    async with open_storage(url, clock=later) as storage:
        holding = ExitStack()
        holding.enter_context(locked(postgres, "s0", "s1"))

        def let_go(progress: ReapProgress) -> None:
            if progress.batches == 1:
                holding.close()

        async with asyncio.timeout(10):
            report = await Reaper(storage, batch_size=3).run_once(on_batch=let_go)
        assert (report.deleted, report.remaining) == (7, 0)


async def test_a_batch_is_committed_lazily_and_later_writes_on_its_connection_are_not(
    url: str, postgres: Database, later: ManualClock
) -> None:
    set_for_everybody(postgres, "synchronous_commit = 'on'")
    ask(postgres, "CREATE TABLE public.commits (n serial, synchronous text)")
    ask(
        postgres,
        """
        CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO public.commits (synchronous) VALUES (current_setting('synchronous_commit'));
            RETURN NULL;
        END $$
        """,
    )
    async with open_storage(url, clock=later, pool_size=1) as storage:
        await put(storage, "left")
        ask(
            postgres,
            "CREATE TRIGGER note AFTER INSERT OR DELETE ON sessionstore.sessions EXECUTE FUNCTION public.note()",
        )
        later.advance(2 * TTL)
        assert await storage.purge_expired() == 1
        await put(storage, "new")
        await storage.clear()
    noted = [setting for (setting,) in ask(postgres, "SELECT synchronous FROM public.commits ORDER BY n")]
    assert noted == [
        "off",
        "on",
        "on",
        "on",
    ]  # the purge, the new session, and clearing, which ends with an empty batch


@contextmanager
def _gate(database: Database) -> Iterator[str]:
    """A role that stops at the row "gate" for as long as somebody holds the lock 42; the URL by which it comes in.

    Row level security asks a function for each row that a statement looks at, so the statement stops in the middle,
    after its snapshot was taken.
    """
    ask(
        database,
        """
        CREATE FUNCTION public.pass(session_id text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
            IF session_id = 'gate' THEN PERFORM pg_advisory_xact_lock_shared(42); END IF;
            RETURN true;
        END $$
        """,
    )
    rights = (
        "GRANT USAGE ON SCHEMA sessionstore TO {role}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sessionstore TO {role}",
        "CREATE POLICY stop ON sessionstore.sessions TO {role} USING (public.pass(session_id))",
    )
    with role(database, *rights) as url:
        yield url


async def _renew_by_reading(storage: StorageProvider) -> None:
    assert await storage.get_many([key("gate"), key("renewed")]) != [None, None]


async def _renew_by_touching(storage: StorageProvider) -> None:
    assert await storage.touch_many([key("gate"), key("renewed")]) == [True, True]


async def _replace(storage: StorageProvider) -> None:
    await storage.set_many([draft("gate"), draft("renewed")])


@pytest.mark.parametrize("renew", [_renew_by_reading, _renew_by_touching, _replace])
async def test_a_session_renewed_while_its_batch_is_chosen_stays(
    postgres: Database, driver: str, later: ManualClock, renew: object
) -> None:
    assert callable(renew)
    almost = ManualClock(START + TTL)
    async with open_storage(postgres.url, clock=almost) as users:
        almost.now = START
        # In the order in which they expire: one before the gate, one after it, and one that nobody renews.
        for name in ("gone0", "gate", "renewed", "gone1"):
            await put(users, name)
            almost.now += TTL / 1000
        with _gate(postgres) as url:
            async with open_storage(driven(url, driver), clock=later) as storage:
                assert await storage.count_expired() == 4
                # Not before: a first call refuses policies that may hide rows.
                ask(postgres, "ALTER TABLE sessionstore.sessions ENABLE ROW LEVEL SECURITY")
                with psycopg.connect(dsn(postgres.url), autocommit=True) as keeper:
                    keeper.execute("SELECT pg_advisory_lock(42)")
                    reaping = asyncio.create_task(Reaper(storage).run_once())
                    await until_blocked(postgres)
                    almost.now = START + TTL
                    await renew(users)
                report = await reaping
                assert (report.deleted, report.remaining) == (2, 0)
                assert ids((await users.list()).sessions) == ["gate", "renewed"]

"""set(): writes a session, whether it exists or not."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sessionstore import StorageProvider
from sessionstore.storage import Write

from ...clock import ManualClock
from ...support.documents import MOMENT, TTL, draft, key


async def test_set_creates_an_absent_session(storage: StorageProvider, clock: ManualClock) -> None:
    summary = await storage.set(draft(state='{"n":1}', owner_id="u1", origin='{"a":1}', version=77))
    assert (summary.key, summary.version, summary.ttl) == (key(), 77, TTL)
    assert summary.created_at == summary.updated_at == clock()
    read = await storage.get(key(), touch=False)
    assert read is not None
    assert (read.state.replace(" ", ""), read.summary) == ('{"n":1}', summary)


async def test_set_overwrites_a_live_session_and_counts_a_write(storage: StorageProvider, clock: ManualClock) -> None:
    old = (await storage.create(draft(owner_id="u1", origin='{"a":1}'))).document.summary
    clock.advance(TTL / 2)
    new = await storage.set(
        draft(state='{"n":2}', ttl=timedelta(hours=2), max_lifetime=timedelta(hours=1), owner_id="u2")
    )
    assert (new.created_at, new.updated_at, new.version) == (old.created_at, clock(), old.version + 1)
    assert (new.ttl, new.owner_id, new.origin) == (timedelta(hours=2), "u2", None)
    assert new.deadline == new.expires_at == old.created_at + timedelta(hours=1)
    read = await storage.get(key(), touch=False)
    assert read is not None
    assert (read.state.replace(" ", ""), read.summary) == ('{"n":2}', new)
    assert await storage.update(Write(old, "{}")) is None
    assert await storage.update(Write(new, "{}")) is not None


# 150 days cross a change to summer time. The long TTLs lose microseconds as a float of seconds.
@pytest.mark.parametrize("days", [150, 20_000, 99_999])
async def test_set_moves_a_deadline_to_the_microsecond(storage: StorageProvider, clock: ManualClock, days: int) -> None:
    lifetime = timedelta(days=days, microseconds=1)
    created_at = (await storage.create(draft(ttl=None))).document.summary.created_at
    clock.advance(timedelta(days=100))
    summary = await storage.set(draft(ttl=None, max_lifetime=lifetime))
    assert summary.deadline == summary.expires_at == created_at + lifetime


async def test_set_can_end_a_ttl_and_a_deadline(storage: StorageProvider, clock: ManualClock) -> None:
    await storage.create(draft(max_lifetime=timedelta(hours=1)))
    summary = await storage.set(draft(ttl=None))
    assert (summary.ttl, summary.deadline, summary.expires_at) == (None, None, None)
    clock.advance(timedelta(days=10_000))
    assert await storage.exists(key())


async def test_set_over_an_expired_row_makes_a_new_session(storage: StorageProvider, clock: ManualClock) -> None:
    old = (await storage.create(draft(owner_id="u1"))).document.summary
    clock.advance(TTL * 2)
    new = await storage.set(draft(version=77))
    assert (new.created_at, new.version, new.owner_id) == (clock(), 77, None)
    assert await storage.update(Write(old, "{}")) is None


async def test_the_last_draft_of_a_repeated_key_stays(storage: StorageProvider) -> None:
    summaries = await storage.set_many([draft("b", '{"n":1}'), draft("a", '{"n":2}'), draft("b", '{"n":3}')])
    assert [summary.key for summary in summaries] == [key("b"), key("a"), key("b")]
    read = await storage.get_many([key("a"), key("b")], touch=False)
    assert [document and document.state.replace(" ", "") for document in read] == ['{"n":2}', '{"n":3}']
    assert read[1] is not None
    assert summaries[2] == read[1].summary


async def test_set_ends_a_session_that_is_older_than_its_new_lifetime(
    storage: StorageProvider, clock: ManualClock
) -> None:
    created = (await storage.create(draft(ttl=None))).document.summary
    clock.advance(timedelta(days=1))
    summary = await storage.set(draft(ttl=None, max_lifetime=timedelta(minutes=40)))
    assert (summary.version, summary.created_at) == (created.version + 1, created.created_at)
    assert summary.expires_at == created.created_at + timedelta(minutes=40)
    assert not await storage.exists(key())


async def test_a_renewed_lifetime_counts_from_the_set_and_no_access_extends_it(
    storage: StorageProvider, clock: ManualClock
) -> None:
    lifetime = timedelta(minutes=10, microseconds=1)
    lasting = draft(ttl=None, max_lifetime=lifetime)
    old = await storage.set(lasting, renew=True)
    assert old.expires_at == clock() + lifetime
    clock.advance(lifetime - MOMENT)
    new = await storage.set(lasting, renew=True)
    assert (new.created_at, new.version) == (old.created_at, old.version + 1)
    assert new.deadline == new.expires_at == clock() + lifetime
    clock.advance(lifetime - MOMENT)
    read = await storage.get(key())
    assert read is not None
    assert read.summary == new._replace(last_accessed_at=clock())
    assert await storage.touch(key())
    clock.advance(MOMENT)
    assert not await storage.exists(key())


async def test_a_renewed_lifetime_caps_the_ttl(storage: StorageProvider, clock: ManualClock) -> None:
    await storage.create(draft())
    clock.advance(TTL)
    lifetime = 2 * TTL
    (summary,) = await storage.set_many([draft(max_lifetime=lifetime)], renew=True)
    assert (summary.deadline, summary.expires_at) == (clock() + lifetime, clock() + TTL * 1.1)


async def test_the_last_of_concurrent_sets_of_a_key_stays(storage: StorageProvider) -> None:
    drafts = [draft(f"s{n % 3}", f'{{"n":{n}}}') for n in range(12)]
    summaries = await asyncio.gather(*(storage.set(it, renew=True) for it in drafts))
    assert [it.version - summaries[n % 3].version for n, it in enumerate(summaries)] == [n // 3 for n in range(12)]
    read = await storage.get_many([key(f"s{n}") for n in range(3)])
    assert [it and it.state.replace(" ", "") for it in read] == [f'{{"n":{n}}}' for n in (9, 10, 11)]

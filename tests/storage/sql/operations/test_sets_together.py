"""Sets of one session that come at once share a write, and each caller gets its own version."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

import pytest

from sessionstore import SqlStorageProvider, open_storage
from sessionstore.storage import Draft
from sessionstore.storage.journal import WRITES, counted_after, entry
from sessionstore.storage.sql.operations import rounds
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import draft, key
from tests.support.bystander import locked
from tests.support.wire import WireCounter

_AT_ONCE: Final = 40


@pytest.fixture
async def storage(url: str) -> AsyncIterator[SqlStorageProvider]:
    async with open_storage(url, pool_size=4) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await storage.exists(key("nobody"))  # the first call looks at the tables
        yield storage


def _drafts(count: int = _AT_ONCE) -> list[Draft]:
    return [draft("s", f'{{"n": {n}}}') for n in range(count)]


async def _state(storage: SqlStorageProvider) -> tuple[str, int]:
    document = await storage.get(key("s"), touch=False)
    assert document is not None
    return document.state, document.summary.version


@pytest.mark.parametrize("renew", [False, True])
@pytest.mark.parametrize("there", [False, True])
async def test_sets_of_one_session_at_once_take_two_statements_and_the_last_one_stays(
    url: str, patient: None, renew: bool, there: bool
) -> None:
    async with WireCounter(url) as wire, open_storage(wire.url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await storage.exists(key("nobody"))
        if there:
            await storage.set(draft("s"))
        with wire.counting() as seen:
            summaries = await asyncio.gather(*(storage.set(it, renew=renew) for it in _drafts()))
        assert len(seen.statements) == 2  # the first call goes alone
        first, last = summaries[0].version, summaries[-1].version
        assert [it.version for it in summaries] == [*range(first, first + _AT_ONCE)]
        assert await _state(storage) == (f'{{"n": {_AT_ONCE - 1}}}', last)


async def test_sets_that_differ_in_more_than_the_state_keep_their_order_and_their_facts(
    storage: SqlStorageProvider,
) -> None:
    ttls = [timedelta(hours=n) for n in (1, 2, 2, 3, 2)]
    owners = ["ann", "ann", "bob", "bob", "bob"]
    drafts = [draft("s", f'"{n}"', ttl=ttl, owner_id=owners[n]) for n, ttl in enumerate(ttls)]
    summaries = await asyncio.gather(*map(storage.set, drafts))
    assert [(it.ttl, it.owner_id) for it in summaries] == [*zip(ttls, owners, strict=True)]
    assert [it.version - summaries[0].version for it in summaries] == [0, 1, 2, 3, 4]
    assert await _state(storage) == ('"4"', summaries[-1].version)


async def test_an_update_under_the_version_of_an_earlier_set_finds_a_conflict(storage: SqlStorageProvider) -> None:
    summaries = await asyncio.gather(*map(storage.set, _drafts(6)))
    for summary in summaries[:-1]:
        assert not await storage.delete(key("s"), version=summary.version)
    assert await storage.delete(key("s"), version=summaries[-1].version)


async def test_a_set_that_is_cancelled_while_it_waits_for_a_held_row_is_not_done(
    storage: SqlStorageProvider, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "_LONGEST_PAUSE", 0.01)
    before = await storage.set(draft("s"))
    with locked(postgres, "s"):
        calls = [asyncio.ensure_future(storage.set(it)) for it in [draft("other"), *_drafts(4)]]
        await calls[0]
        # Sent after the four, and answered: so they were sent too.
        await storage.set(draft("other"))
        calls[2].cancel()
        calls[4].cancel()
        await asyncio.wait([calls[2], calls[4]])
    versions = [(await calls[n]).version for n in (1, 3)]
    assert versions == [before.version + 1, before.version + 2]
    assert await _state(storage) == ('{"n": 2}', versions[-1])


def test_the_versions_after_a_write_are_counted_in_the_journal() -> None:
    ids = [f"write{n:03}" for n in range(WRITES)]
    journal = "".join(entry(write_id, n + 1) for n, write_id in enumerate(ids))
    assert [counted_after(journal, write_id) for write_id in ids[:4]] == [0, 1, 3, 6]
    assert counted_after(journal, "write999") is None
    assert counted_after("", ids[0]) is None

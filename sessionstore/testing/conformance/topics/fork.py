"""Copying a session with its items to a new key."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from sessionstore import StorageProvider
from sessionstore.storage import Append, Fork, NewItem, Window

from ...clock import ManualClock
from ...support.documents import MOMENT, TTL, draft, key, put, rewrite
from ...support.logs import fill, texts, texts_of, window_of

TEN = [str(n) for n in range(1, 11)]


def _facts(document: Any) -> tuple[Any, ...]:
    summary = document.summary
    return document.state, summary.ttl, summary.origin, summary.owner_id, summary.last_position, summary.item_count


async def test_a_fork_has_the_state_and_the_items(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "s", state='{"n":1}', owner_id="u1", origin='{"a":1}', ttl=TTL)
    await fill(storage, "s", *TEN[:5])
    clock.advance(MOMENT)
    await storage.append_many([Append(key(), [NewItem('{"b":1,"a":"\\u0000"}', "id", "log")])])
    source = await window_of(storage, "s", Window(limit=9))
    clock.advance(TTL / 2)
    forked = await storage.fork(Fork(key(), key("copy")))
    assert forked is not None
    assert forked.created
    summary = forked.document.summary
    assert _facts(forked.document) == _facts(source)
    assert (summary.created_at, summary.updated_at, summary.last_accessed_at) == (clock.now,) * 3
    assert (summary.key, summary.last_write) == (key("copy"), "")
    assert summary.version != source.summary.version
    copy = await window_of(storage, "copy", Window(limit=9))
    assert copy.summary == summary
    assert list(copy.items) == list(source.items)
    for window in (Window("log"), Window("log", ids=("id",))):
        of_log = await window_of(storage, "copy", window)
        assert list(of_log.items) == list((await window_of(storage, "s", window)).items) != []


async def test_the_copy_and_the_source_change_independently(storage: StorageProvider) -> None:
    await put(storage, "s", state='{"n":1}')
    await fill(storage, "s", "1", "2")
    forked = await storage.fork(Fork(key(), key("copy")))
    assert forked is not None
    await fill(storage, "copy", '"c"')
    await fill(storage, "s", '"s"')
    assert await storage.update(rewrite(forked.document, '{"n":2}')) is not None
    assert await texts_of(storage, "copy") == ["1", "2", '"c"']
    assert await texts_of(storage) == ["1", "2", '"s"']
    assert await storage.delete(key())
    assert await texts_of(storage, "copy") == ["1", "2", '"c"']


@pytest.mark.parametrize(
    ("until", "found", "last"),
    [(0, [], 0), (-5, [], 0), (4, TEN[:4], 4), (10, TEN, 10), (99, TEN, 10), (1 << 70, TEN, 10), (None, TEN, 10)],
)
async def test_a_fork_has_the_items_up_to_a_position(
    storage: StorageProvider, until: int | None, found: list[str], last: int
) -> None:
    await put(storage, "s")
    await fill(storage, "s", *TEN)
    forked = await storage.fork(Fork(key(), key("copy"), until))
    assert forked is not None
    copy = await window_of(storage, "copy", Window())
    assert (texts(copy.items), copy.summary.item_count, copy.summary.last_position) == (found, len(found), last)
    assert forked.document.summary == copy.summary
    await fill(storage, "copy", '"new"')
    assert (await window_of(storage, "copy", Window(limit=1))).items[0][:2] == (last + 1, '"new"')


async def test_a_live_session_of_the_key_is_returned_as_an_access(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "s", state='{"n":1}')
    await put(storage, "copy", state='{"n":2}')
    await fill(storage, "s", "1")
    clock.advance(TTL * 0.9)
    await storage.touch(key())
    forked = await storage.fork(Fork(key(), key("copy")))
    assert forked is not None
    assert not forked.created
    assert (forked.document.summary.key, forked.document.summary.item_count) == (key("copy"), 0)
    assert forked.document.summary.last_accessed_at == clock.now
    clock.advance(TTL * 0.9)
    assert await texts_of(storage, "copy") == []


async def test_a_live_session_of_another_owner_is_returned_and_not_accessed(
    storage: StorageProvider, clock: ManualClock
) -> None:
    await put(storage, "s", owner_id="u1", ttl=None)
    await put(storage, "copy", owner_id="u2")
    before = await window_of(storage, "copy", Window())
    clock.advance(TTL * 0.9)
    forked = await storage.fork(Fork(key(), key("copy"), owner_id="u1"))
    assert forked is not None
    assert (forked.created, forked.document.summary) == (False, before.summary)
    clock.advance(TTL * 0.9)
    assert not await storage.exists(key("copy"))


async def test_a_session_forked_to_its_own_key_is_returned(storage: StorageProvider) -> None:
    await put(storage, "s")
    await fill(storage, "s", "1")
    forked = await storage.fork(Fork(key(), key()))
    assert forked is not None
    assert not forked.created
    assert await texts_of(storage) == ["1"]


@pytest.mark.parametrize("items", [[], TEN, ['"old"']], ids=["without items", "more items", "as many items"])
@pytest.mark.parametrize("made", ["created", "forked"])
async def test_an_expired_session_of_the_key_is_replaced(
    storage: StorageProvider, clock: ManualClock, items: list[str], made: str
) -> None:
    await put(storage, "copy" if made == "created" else "first", owner_id="u2", origin='{"old":1}')
    await fill(storage, "copy" if made == "created" else "first", *items)
    if made == "forked":
        assert await storage.fork(Fork(key("first"), key("copy"))) is not None
    clock.advance(TTL * 2)
    await put(storage, "s", state='{"n":1}')
    await fill(storage, "s", '"new"')
    forked = await storage.fork(Fork(key(), key("copy")))
    assert forked is not None
    assert forked.created
    copy = await window_of(storage, "copy", Window())
    assert (texts(copy.items), copy.summary) == (['"new"'], forked.document.summary)
    assert _facts(copy) == _facts(await storage.get(key()))


async def test_the_longest_lifetime_of_a_fork_counts_anew(storage: StorageProvider, clock: ManualClock) -> None:
    lifetime = timedelta(hours=30, microseconds=1)
    await storage.create_many([draft(ttl=None, max_lifetime=lifetime), draft("t", max_lifetime=TTL)])
    clock.advance(timedelta(minutes=20))
    for source, ttl, expected in (("s", None, lifetime), ("t", TTL, TTL)):
        forked = await storage.fork(Fork(key(source), key(f"copy of {source}")))
        assert forked is not None
        summary = forked.document.summary
        assert (summary.ttl, summary.deadline, summary.expires_at) == (ttl, clock.now + expected, clock.now + expected)


async def test_a_session_that_never_expires_has_such_a_fork(storage: StorageProvider) -> None:
    await put(storage, "s", ttl=None)
    forked = await storage.fork(Fork(key(), key("copy")))
    assert forked is not None
    assert (forked.document.summary.ttl, forked.document.summary.expires_at) == (None, None)


async def test_only_a_live_session_of_the_owner_is_forked(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "expired", "taken")
    clock.advance(TTL * 2)
    await put(storage, "taken")
    await put(storage, "owned", owner_id="u1")
    await put(storage, "nobody")
    for name, owner_id in (("absent", None), ("expired", None), ("owned", "u2"), ("nobody", "u1"), ("absent", "u1")):
        for target in ("copy", "taken"):
            assert await storage.fork(Fork(key(name), key(target), owner_id=owner_id)) is None
    assert not await storage.exists(key("copy"))
    forked = await storage.fork(Fork(key("owned"), key("copy"), owner_id="u1"))
    assert forked is not None
    assert forked.document.summary.owner_id == "u1"


async def test_one_of_concurrent_forks_to_one_key_is_made(storage: StorageProvider) -> None:
    names = [f"s{n}" for n in range(6)]
    await put(storage, *names)
    for name in names:
        await fill(storage, name, f'"{name}"', "2")
    forks = await asyncio.gather(*(storage.fork(Fork(key(name), key("copy"))) for name in names * 2))
    made = [fork for fork in forks if fork is not None]
    assert (len(made), sum(fork.created for fork in made)) == (12, 1)
    assert len({fork.document.summary.version for fork in made}) == 1
    assert len(await texts_of(storage, "copy")) == 2


async def test_a_session_is_forked_into_another_namespace(storage: StorageProvider) -> None:
    await put(storage, "s")
    await fill(storage, "s", "1")
    assert await storage.fork(Fork(key(), key("s", "other"))) is not None
    assert await texts_of(storage, key("s", "other")) == ["1"]


async def test_a_fork_while_items_are_appended_has_those_that_its_row_counts(storage: StorageProvider) -> None:
    await put(storage, "s")

    async def append() -> None:
        for n in range(30):
            await fill(storage, "s", str(n), str(n))

    async def fork(worker: int) -> None:
        for n in range(15):
            forked = await storage.fork(Fork(key(), key(f"{worker}-{n}")))
            assert forked is not None
            assert forked.created

    await asyncio.gather(append(), fork(1), fork(2))
    for name in (f"{worker}-{n}" for worker in (1, 2) for n in range(15)):
        copy = await window_of(storage, name, Window())
        found = texts(copy.items)
        assert copy.summary.last_position == copy.summary.item_count == len(found)
        assert found == [str(n) for n in range(len(found) // 2) for _ in range(2)]

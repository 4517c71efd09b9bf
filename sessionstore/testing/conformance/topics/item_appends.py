"""Appends of items, by the calls of providers."""

from __future__ import annotations

import pytest

from sessionstore import StorageProvider
from sessionstore.storage import Append, Edit, NewItem
from sessionstore.storage.journal import append_entry, key_digest, with_key

from ...clock import ManualClock
from ...support.documents import TTL, key, put
from ...support.item_calls import (
    append,
    appended,
    counters,
    journal,
    named,
    read,
    storage_with_a_session,
    texts,
    values,
)

storage = storage_with_a_session


async def test_items_with_ids_are_appended_once(storage: StorageProvider) -> None:
    assert await appended(storage, *named("a", "b")) == [1, 2]
    assert await appended(storage, *named("b", None, "c", "a", "d")) == [None, 3, 4, None, 5]
    assert await values(storage) == ["a", "b", None, "c", "d"]
    assert await counters(storage) == (5, 5)


async def test_an_id_is_taken_in_all_logs_of_its_session_and_in_no_other_session(storage: StorageProvider) -> None:
    await put(storage, "other")
    assert await appended(storage, *named("a", log="branch")) == [1]
    assert await appended(storage, *named("a", "b")) == [None, 2]
    assert await appended(storage, *named("a", "b"), name="other") == [1, 2]


async def test_an_append_of_known_ids_only_is_an_access_that_takes_no_position(
    storage: StorageProvider, clock: ManualClock
) -> None:
    await append(storage, *named("a"))
    clock.advance(TTL / 2)
    again = Append(key(), named("a"))
    summary = await storage.append(again)
    assert summary is not None
    assert (list(summary.appended), summary.last_position, summary.item_count) == ([None], 1, 1)
    assert summary.updated_at == summary.last_accessed_at == clock()
    assert (await journal(storage)).appends.startswith(append_entry(again.id, 0))


async def test_an_append_with_ids_is_an_access_that_leaves_the_version(
    storage: StorageProvider, clock: ManualClock
) -> None:
    before = (await read(storage)).summary
    clock.advance(TTL / 2)
    change = Append(key(), named("a", "b"))
    summary = await storage.append(change)
    assert summary is not None
    assert (summary.version, summary.last_write) == (before.version, before.last_write)
    assert summary.updated_at == summary.last_accessed_at == clock()
    assert summary.expires_at is not None
    assert summary.expires_at >= clock() + TTL
    stored = await read(storage)
    assert stored.summary == summary._replace(appended=())
    assert [item.created_at for item in stored.items] == [clock(), clock()]
    assert (await journal(storage)).appends == append_entry(change.id, 2)


async def test_each_log_keeps_its_newest_items(storage: StorageProvider) -> None:
    await append(storage, *texts(1, 2, 3, log="x"))
    assert await appended(storage, *texts(4, 5, 6), *texts(7, log="y"), keep=2) == [4, 5, 6, 7]
    assert await values(storage) == [5, 6]
    assert await values(storage, log="y") == [7]
    assert await values(storage, log="x") == [1, 2, 3]
    assert await counters(storage) == (7, 6)
    assert await appended(storage, *texts(8, log="x"), keep=1) == [8]
    assert await values(storage, log="x") == [8]
    assert await counters(storage) == (8, 4)


async def test_positions_count_items_that_are_removed_at_once(storage: StorageProvider) -> None:
    assert await appended(storage, *texts(*range(5)), keep=0) == [1, 2, 3, 4, 5]
    assert await counters(storage) == (5, 0)
    assert await appended(storage, *texts(5)) == [6]


async def test_appends_of_a_batch_keep_different_numbers_of_items(storage: StorageProvider) -> None:
    await put(storage, "t", "u")
    appends = [
        Append(key("s"), texts(1, 2, 3), keep=1),
        Append(key("t"), texts(1, 2, 3), keep=2),
        Append(key("u"), texts(1, 2, 3)),
    ]
    summaries = await storage.append_many(appends)
    assert [summary and summary.item_count for summary in summaries] == [1, 2, 3]
    assert [await values(storage, name) for name in "stu"] == [[3], [2, 3], [1, 2, 3]]


@pytest.mark.parametrize("kept", [None, 10])
@pytest.mark.parametrize("item_id", [None, "a"])
async def test_an_append_that_does_not_meet_its_conditions_changes_nothing(
    storage: StorageProvider, item_id: str | None, kept: int | None
) -> None:
    digest = key_digest("once")
    (item,) = named(item_id)
    assert await append(storage, NewItem("0"), owner_id="ann", keep=kept) is None
    assert await append(storage, item, expected_position=1, keep=kept) is None
    assert await append(storage, item, name="nobody", keep=kept) is None
    assert await append(storage, item, digest=digest, keys=8, keep=kept) is not None
    before = await read(storage)
    assert await append(storage, item, digest=digest, keys=8, keep=kept) is None
    assert await read(storage) == before
    assert (await journal(storage)).keys == with_key("", digest, 8)
    assert await append(storage, *named("b"), expected_position=1, keep=kept) is not None
    assert await append(storage, *named("c"), expected_position=1, keep=kept) is None


async def test_an_append_of_the_owner_lands(storage: StorageProvider) -> None:
    await put(storage, "owned", owner_id="ann")
    assert await append(storage, *named("a"), name="owned", owner_id="bob") is None
    assert await appended(storage, *named("a"), name="owned", owner_id="ann") == [1]
    assert await appended(storage, *named("a", "b"), name="owned") == [None, 2]


async def test_an_append_to_an_expired_session_changes_nothing(storage: StorageProvider, clock: ManualClock) -> None:
    clock.advance(2 * TTL)
    assert await append(storage, *named("a")) is None
    assert await append(storage, *texts(1), keep=1) is None
    assert await storage.edit(Edit(key(), newest=1)) is None


async def test_each_append_of_a_batch_has_its_own_answer(storage: StorageProvider) -> None:
    await put(storage, "t", "u", owner_id="ann")
    appends = [
        Append(key("u"), named("a"), owner_id="ann"),
        Append(key("nobody"), named("a")),
        Append(key("t"), named("a"), owner_id="bob"),
        Append(key("s"), [*named("a"), *texts(1)]),
        Append(key("s"), named("b", "a")),
    ]
    summaries = await storage.append_many(appends)
    assert [summary and list(summary.appended) for summary in summaries] == [[1], None, None, [1, 2], [3, None]]

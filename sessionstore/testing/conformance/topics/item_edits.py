"""Removals and replacements of items, by the calls of providers."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore import StorageProvider
from sessionstore.storage import Edit, Edited, SeenItems, StoredItem, Write
from sessionstore.storage.journal import append_entry

from ...clock import ManualClock
from ...support.documents import MOMENT, TTL, key, put
from ...support.item_calls import (
    append,
    appended,
    counters,
    edit,
    items,
    journal,
    named,
    read,
    storage_with_a_session,
    texts,
    values,
)

storage = storage_with_a_session


async def test_the_newest_items_are_removed_and_returned(storage: StorageProvider, clock: ManualClock) -> None:
    await append(storage, *texts(1, 2, 3))
    await append(storage, *texts("x", log="x"))
    then = clock()
    clock.advance(TTL / 2)
    pop = Edit(key(), newest=2)
    edited = await storage.edit(pop)
    assert edited is not None
    assert edited == Edited(
        edited.summary, done=True, changed=2, removed=[StoredItem(2, "2", then), StoredItem(3, "3", then)]
    )
    assert (edited.summary.last_position, edited.summary.item_count) == (4, 2)
    assert edited.summary.updated_at == edited.summary.last_accessed_at == clock()
    assert await values(storage) == [1]
    assert (await journal(storage)).appends.startswith(append_entry(pop.id, 0))
    rest = await edit(storage, newest=5)
    assert (rest.changed, [item.text for item in rest.removed]) == (1, ["1"])
    none = await edit(storage, newest=1)
    assert (none.done, none.changed, list(none.removed)) == (True, 0, [])
    assert await counters(storage) == (4, 1)
    assert await appended(storage, *texts(5)) == [5]


async def test_items_behind_a_position_are_replaced(storage: StorageProvider) -> None:
    await append(storage, *named("a", "b", "c"), *named("x", log="x"))
    edited = await edit(storage, after=1, items=named("c", "x", "a", "d"))
    assert (edited.done, edited.changed, list(edited.removed)) == (True, 2, [])
    assert list(edited.summary.appended) == [5, None, None, 6]
    assert await values(storage) == ["a", "c", "d"]
    assert await values(storage, log="x") == ["x"]
    assert await counters(storage) == (6, 4)
    cleared = await edit(storage, after=0)
    assert cleared.changed == 3
    assert await values(storage) == []
    assert await counters(storage) == (6, 1)


async def test_all_items_except_the_newest_are_removed(storage: StorageProvider) -> None:
    await append(storage, *texts(1, 2, 3, 4), *texts("x", log="x"))
    assert (await edit(storage, keep=3)).changed == 1
    assert (await edit(storage, keep=9)).changed == 0
    assert await values(storage) == [2, 3, 4]
    assert (await edit(storage, keep=0)).changed == 3
    assert await values(storage, log="x") == ["x"]
    assert await counters(storage) == (5, 1)


async def test_one_item_is_replaced(storage: StorageProvider, clock: ManualClock) -> None:
    await append(storage, *named("a", "b"), *texts("x", log="x"))
    before = await items(storage)
    clock.advance(MOMENT)
    edited = await edit(storage, put=(2, '{ "redacted": true }'))
    assert (edited.done, edited.changed, list(edited.removed)) == (True, 1, [])
    assert list(await items(storage)) == [before[0], before[1]._replace(text='{ "redacted": true }')]
    assert (await edit(storage, put=(3, "0"))).changed == 0  # the item is in another log
    assert (await edit(storage, put=(9, "0"))).changed == 0
    assert (await edit(storage, log="x", put=(3, "0"))).changed == 1
    assert await appended(storage, *named("b")) == [None]
    assert await counters(storage) == (3, 3)


@pytest.mark.parametrize("change", [{"newest": 1}, {"after": 0}, {"keep": 0}, {"put": (1, "0")}], ids=str)
async def test_an_edit_that_does_not_meet_its_conditions_changes_nothing(
    storage: StorageProvider, change: dict[str, Any], clock: ManualClock
) -> None:
    await put(storage, "t", owner_id="ann")
    await append(storage, *texts(1), name="t")
    before = await read(storage, "t")
    clock.advance(MOMENT)
    assert await storage.edit(Edit(key("nobody"), **change)) is None
    assert await storage.edit(Edit(key("t"), owner_id="bob", **change)) is None
    missed = await storage.edit(Edit(key("t"), owner_id="ann", expected_position=2, **change))
    assert missed == Edited(before.summary, done=False)
    assert await read(storage, "t") == before
    assert (await edit(storage, "t", owner_id="ann", expected_position=1, **change)).changed == 1


@pytest.mark.parametrize("change", [{"newest": 1}, {"after": 0}, {"keep": 0}, {"put": (1, "0")}], ids=str)
async def test_an_edit_of_items_that_have_changed_since_changes_nothing(
    storage: StorageProvider, change: dict[str, Any], clock: ManualClock
) -> None:
    version, last, count = (await read(storage)).summary.version, 3, 2
    await append(storage, *texts(1, 2, 3))
    await edit(storage, newest=1)
    before = await read(storage)
    clock.advance(MOMENT)
    for other in ((version, last, count + 1), (version, last + 1, count), (version - 1_000_000_000, last, count)):
        assert await storage.edit(Edit(key(), seen=SeenItems(*other), **change)) == Edited(before.summary, done=False)
    assert await read(storage) == before
    wrong = Edit(key(), expected_position=last - 1, seen=SeenItems(version, last, count), **change)
    assert await storage.edit(wrong) == Edited(before.summary, done=False)
    await storage.update(Write(before.summary, "[1]", count=5))  # a write of the state changes no item
    assert (await edit(storage, seen=SeenItems(version, last, count), **change)).done


async def test_edits_of_a_batch_go_one_after_the_other(storage: StorageProvider) -> None:
    await append(storage, *texts(1, 2, 3))
    edits = [Edit(key(), newest=1), Edit(key("nobody"), newest=1), Edit(key(), newest=1)]
    edited = await storage.edit_many(edits)
    assert [it and [item.text for item in it.removed] for it in edited] == [["3"], None, ["2"]]

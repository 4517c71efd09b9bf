"""Changes of the items of sessions, by the calls of providers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import pytest_asyncio

from sessionstore import StorageProvider
from sessionstore.storage import Append, Document, Edit, Edited, NewItem, SeenItems, StoredItem, Summary, Window, Write
from sessionstore.storage.journal import Journal, append_entry, key_digest, with_key

from ...clock import ManualClock
from ...support.documents import MOMENT, TTL, draft, end, key, put

_ALL = 1000


def texts(*values: object, log: str = "") -> Sequence[NewItem]:
    return [NewItem(json.dumps(value), log=log) for value in values]


def named(*ids: str | None, log: str = "") -> Sequence[NewItem]:
    return [NewItem(json.dumps(item_id), item_id, log) for item_id in ids]


async def append(storage: StorageProvider, *items: NewItem, name: str = "s", **conditions: Any) -> Summary | None:
    return await storage.append(Append(key(name), items, **conditions))


async def appended(storage: StorageProvider, *items: NewItem, **conditions: Any) -> Sequence[int | None]:
    summary = await append(storage, *items, **conditions)
    assert summary is not None
    return list(summary.appended)


async def read(storage: StorageProvider, name: str = "s", **window: Any) -> Document:
    window = {"limit": _ALL, **window}
    (document,) = await storage.get_many([key(name)], touch=False, journal=True, window=Window(**window))
    assert document is not None
    return document


async def items(storage: StorageProvider, name: str = "s", **window: Any) -> Sequence[StoredItem]:
    return (await read(storage, name, **window)).items


async def values(storage: StorageProvider, name: str = "s", **window: Any) -> list[Any]:
    return [json.loads(item.text) for item in await items(storage, name, **window)]


async def counters(storage: StorageProvider, name: str = "s") -> tuple[int, int]:
    summary = (await read(storage, name)).summary
    return summary.last_position, summary.item_count


async def journal(storage: StorageProvider, name: str = "s") -> Journal:
    found = (await read(storage, name)).journal
    assert found is not None
    return found


async def edit(storage: StorageProvider, name: str = "s", **change: Any) -> Edited:
    edited = await storage.edit(Edit(key(name), **change))
    assert edited is not None
    return edited


@pytest_asyncio.fixture(loop_scope="function")
async def storage(storage: StorageProvider) -> StorageProvider:
    await put(storage, "s")
    return storage


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


async def test_passed_over_items_alone_are_an_access_that_takes_no_position(
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
    assert (await edit(storage, put=(3, "0"))).changed == 0  # of another log
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


async def test_state_and_items_land_together(storage: StorageProvider, clock: ManualClock) -> None:
    await append(storage, *named("a"))
    clock.advance(TTL / 2)
    document = await read(storage)
    write = Write(document.summary, "[1]", count=3, items=named("a", "b", "c"), keep=2, keys="0123456789ab")
    summary = await storage.update(write)
    assert summary is not None
    assert (summary.version, summary.last_write) == (document.summary.version + 3, write.id)
    assert (list(summary.appended), summary.last_position, summary.item_count) == ([None, 2, 3], 3, 2)
    stored = await read(storage)
    assert (stored.state, stored.summary) == ("[1]", summary._replace(appended=()))
    assert await values(storage) == ["b", "c"]
    assert (await journal(storage)).appends.startswith(append_entry(write.id, 2))
    assert (await journal(storage)).keys == "0123456789ab"
    assert (await journal(storage)).writes.startswith(write.id)


async def test_neither_state_nor_items_land_on_another_version(storage: StorageProvider) -> None:
    document = await read(storage)
    first = Write(document.summary, "[1]", items=texts(1))
    second = Write(document.summary, "[2]", items=texts(2))
    assert await storage.update(first) is not None
    assert await storage.update(second) is None
    last = await read(storage)
    assert await storage.update(Write(last.summary, "[3]", items=texts(3), keys_read="0123456789ab")) is None
    assert (await read(storage)).state == "[1]"
    assert await values(storage) == [1]


async def test_writes_with_and_without_items_share_a_batch(storage: StorageProvider) -> None:
    await put(storage, "t", "u", "v")
    read_first = {name: (await read(storage, name)).summary for name in "stuv"}
    await storage.update(Write(read_first["v"], "[0]"))
    writes = [
        Write(read_first["u"], "[1]"),
        Write(read_first["s"], "[2]", items=texts(1, 2)),
        Write(read_first["v"], "[3]"),
        Write(read_first["t"], "[4]", items=texts(3, log="x")),
    ]
    summaries = await storage.update_many(writes)
    assert [summary and list(summary.appended) for summary in summaries] == [[], [1, 2], None, [1]]
    assert [(await read(storage, name)).state for name in "stuv"] == ["[2]", "[4]", "[1]", "[0]"]
    assert await counters(storage, "u") == (0, 0)
    assert (await journal(storage, "u")).appends == ""


async def test_items_land_under_the_row_lock(storage: StorageProvider) -> None:
    await put(storage, "t", "u")
    await append(storage, *named("a"))

    def apply(document: Document) -> Write | None:
        name = document.summary.key.session_id
        if name == "u":
            return None
        return Write(document.summary, f'["{name}"]', items=named("a", "b") if name == "s" else ())

    summaries = await storage.update_locked_many([key("t"), key("s"), key("u"), key("nobody")], apply)
    assert [summary and list(summary.appended) for summary in summaries] == [[], [None, 2], None, None]
    assert (await read(storage)).state == '["s"]'
    assert await values(storage) == ["a", "b"]


async def test_a_created_session_has_its_first_items(storage: StorageProvider, clock: ManualClock) -> None:
    creation = await storage.create(draft("new", items=named("a", "b", "a"), keep=1))
    summary = creation.document.summary
    assert creation.created
    assert (list(summary.appended), summary.last_position, summary.item_count) == ([1, 2, None], 2, 1)
    stored = await read(storage, "new")
    assert stored.summary == summary._replace(appended=())
    assert [(item.text, item.created_at) for item in stored.items] == [('"b"', clock())]
    assert len((await journal(storage, "new")).appends) == len(append_entry("abcdefgh", 2))


async def test_a_creation_that_finds_the_session_appends_nothing(storage: StorageProvider) -> None:
    creation = await storage.create(draft(items=texts(1)))
    assert not creation.created
    assert creation.document.summary.last_position == 0
    creations = await storage.create_many(
        [draft("x", items=texts(1)), draft("s", items=texts(1)), draft("y"), draft("x", items=texts(2))]
    )
    assert [creation.created for creation in creations] == [True, False, True, False]
    assert await values(storage) == []
    assert await values(storage, "x") == [1]
    assert await values(storage, "y") == []


@pytest.mark.parametrize("how", ["create", "create with items", "set", "set_many"])
async def test_a_later_session_has_none_of_the_items(storage: StorageProvider, clock: ManualClock, how: str) -> None:
    await append(storage, *named("a", "b"))
    await append(storage, *texts(1, log="x"))
    clock.advance(2 * TTL)
    if how.startswith("set"):
        await storage.set(draft())
    else:
        await storage.create(draft(items=named("c") if how == "create with items" else ()))
    first = 1 if how == "create with items" else 0
    assert await counters(storage) == (first, first)
    assert await values(storage, log="x") == []
    assert await appended(storage, *named("a")) == [first + 1]
    assert await values(storage) == ["c", "a"][1 - first :]


@pytest.mark.parametrize("how", ["delete", "clear", "purge"])
async def test_a_deleted_session_leaves_no_items(storage: StorageProvider, clock: ManualClock, how: str) -> None:
    await append(storage, *named("a", "b"))
    await end(storage, clock, how)
    await put(storage, "s")
    assert await counters(storage) == (0, 0)
    assert await appended(storage, *named("a")) == [1]


async def test_a_session_that_is_set_keeps_its_items(storage: StorageProvider) -> None:
    await append(storage, *named("a", "b"))
    await storage.set(draft(state="[7]"))
    assert await values(storage) == ["a", "b"]
    assert await counters(storage) == (2, 2)


_TEXTS = (
    '{"z": 1, "a": {"y": 2, "b": 3}, "z": 4}',
    '"NUL \\u0000, lone \\ud800 and \\udfff, halves \\udc00\\ud800, pair \\ud83d\\ude00, escaped \\\\u0000"',
    '{"\\u0000": "\\ud800", "": null}',
    f"[{'9' * 400}, -{'1' * 400}, -0, -0.0, 1e16, 1E+2, 1e-7, 10000000000000000.0, 5e-324]",
    '  {"leading" :\t"space",\n\r"and" : [ ]  }  ',
    "\"</script> 'quoted' $1 %s %(x)s :name {curly} \u00e9\u4f60\U0001f600\u2028\u2029\ufeff\x7f\"",
    "null",
    "true",
    '""',
    '"' + "x" * 100_000 + '"',
)


@pytest.mark.parametrize("text", _TEXTS, ids=range(len(_TEXTS)))
@pytest.mark.parametrize("several", [False, True])
async def test_items_are_kept_character_by_character(storage: StorageProvider, text: str, several: bool) -> None:
    given = [NewItem(text, "a"), *([NewItem(text)] if several else ())]
    await put(storage, "other")
    document = await read(storage, "other")
    await append(storage, *given)
    await append(storage, NewItem("1"), NewItem(text), name="other", keep=1)
    await storage.update(Write(document.summary, "[]", items=given))
    await storage.create(draft("new", items=given))
    await edit(storage, after=0, items=given)
    await edit(storage, put=(len(given) + 1, text))
    assert [item.text for item in await items(storage)] == [text] * len(given)
    assert {item.text for item in await items(storage, "other")} == {text}
    assert [item.text for item in await items(storage, "new")] == [text] * len(given)
    assert [item.text for item in (await edit(storage, newest=9)).removed] == [text] * len(given)

"""Items that are written with a state or a new session, and that end with their session."""

from __future__ import annotations

import pytest

from sessionstore import StorageProvider
from sessionstore.storage import Document, NewItem, Write
from sessionstore.storage.journal import append_entry

from ...clock import ManualClock
from ...support.documents import TTL, draft, end, key, put
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
async def test_a_later_session_of_the_same_id_has_none_of_the_items(
    storage: StorageProvider, clock: ManualClock, how: str
) -> None:
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

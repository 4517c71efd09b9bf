"""Reading the items of sessions, together with their states."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sessionstore import StorageProvider
from sessionstore.storage import Append, NewItem, StoredItem, Window

from ...clock import START, ManualClock
from ...support.documents import MOMENT, TTL, draft, key, put, rewrite
from ...support.logs import fill, positions, texts, texts_of, window_of

TEN = [str(n) for n in range(1, 11)]


@pytest.mark.parametrize(
    ("window", "found"),
    [
        ({"limit": 3}, [8, 9, 10]),
        ({"limit": 10}, [*range(1, 11)]),
        ({"limit": 1 << 40}, [*range(1, 11)]),
        ({"limit": 1 << 80}, [*range(1, 11)]),
        ({"limit": 0}, []),
        ({"limit": 0, "newest": False}, []),
        ({"limit": 3, "newest": False}, [1, 2, 3]),
        ({"limit": 3, "newest": False, "after": 0}, [1, 2, 3]),
        ({"limit": 3, "newest": False, "after": 4}, [5, 6, 7]),
        ({"limit": 3, "newest": False, "after": 9}, [10]),
        ({"newest": False, "after": 10}, []),
        ({"newest": False, "after": 1 << 70}, []),
        ({"newest": False, "after": -(1 << 70)}, [*range(1, 11)]),
        ({"limit": 3, "before": 5}, [2, 3, 4]),
        ({"limit": 3, "before": 3}, [1, 2]),
        ({"before": 1}, []),
        ({"before": 1 << 70, "limit": 1}, [10]),
        ({"limit": 3, "newest": False, "before": 5}, [1, 2, 3]),
        ({"limit": 3, "after": 4}, [8, 9, 10]),
        ({"limit": 3, "after": 4, "before": 7}, [5, 6]),
        ({"limit": 1, "newest": False, "after": 4, "before": 7}, [5]),
        ({"after": 6, "before": 5}, []),
    ],
    ids=str,
)
async def test_a_window_reads_its_items_oldest_first(
    storage: StorageProvider, window: dict[str, Any], found: list[int]
) -> None:
    await put(storage, "s")
    await fill(storage, "s", *TEN)
    document = await window_of(storage, "s", Window(**window))
    assert positions(document.items) == found
    assert texts(document.items) == [str(position) for position in found]
    assert document.summary.last_position == document.summary.item_count == 10


async def test_a_group_is_read_as_a_batch_is_also_beside_other_groups(
    storage: StorageProvider, clock: ManualClock
) -> None:
    for name in "abc":
        await put(storage, name)
        await fill(storage, name, *TEN)
    clock.advance(TTL / 2)
    groups = [
        ([key("a"), key("nobody"), key("b")], Window(limit=2)),
        ([key("b"), key("a")], Window(limit=2)),
        ([key("b"), key("b")], Window(limit=1, newest=False)),
        ([key("b")], None),
        ([key("nobody")], None),
        ([], None),
    ]
    found = await asyncio.gather(*(storage.get_group(keys, window=window) for keys, window in groups))
    for (keys, window), documents in zip(groups, found, strict=True):
        wanted = [await storage.get(each, touch=False, window=window) for each in keys]
        assert list(documents) == wanted
    clock.advance(TTL * 0.9)
    assert await storage.exists_many([key("a"), key("b"), key("c")]) == [True, True, False]
    (only_seen,) = await storage.get_group([key("a")], touch=False)
    assert only_seen is not None
    clock.advance(TTL / 2)
    assert await storage.exists_many([key("a")]) == [False]


async def test_a_read_without_a_window_reads_no_items(storage: StorageProvider) -> None:
    await put(storage, "s")
    await fill(storage, "s", *TEN)
    document = await storage.get(key(), touch=False)
    assert document is not None
    assert (document.items, document.summary.last_position) == ((), 10)


async def test_a_session_without_items_has_an_empty_window(storage: StorageProvider) -> None:
    await put(storage, "s")
    for window in (Window(), Window(newest=False), Window(ids=("a",))):
        assert list((await window_of(storage, "s", window)).items) == []


async def test_logs_are_read_apart(storage: StorageProvider) -> None:
    await put(storage, "s")
    for log in ("", "a", "a:b", ""):
        await fill(storage, "s", f'"{log}"', log=log)
    assert await texts_of(storage) == ['""', '""']
    assert await texts_of(storage, log="a") == ['"a"']
    assert positions((await window_of(storage, "s", Window("a:b"))).items) == [3]
    assert await texts_of(storage, log="b") == []


async def test_items_are_found_by_their_ids(storage: StorageProvider) -> None:
    names = ["a", "A", "a b", "%", "'", '"', "\\", "\u00e4", "\U0001f600", "1"]
    await put(storage, "s", "other")
    await storage.append_many(
        [Append(key("s"), [NewItem(str(at), name) for at, name in enumerate(names)])],
    )
    await storage.append_many([Append(key("s"), [NewItem('"none"'), NewItem('"elsewhere"', "x", "log")])])
    await storage.append_many([Append(key("other"), [NewItem('"of the other"', "y")])])
    for at, name in enumerate(names):
        assert texts((await window_of(storage, "s", Window(ids=(name,)))).items) == [str(at)]
    document = await window_of(storage, "s", Window(ids=("1", "y", "x", "nobody", "a", "a")))
    assert texts(document.items) == ["0", "9"]
    assert texts((await window_of(storage, "s", Window("log", ids=("x", "a")))).items) == ['"elsewhere"']
    assert texts((await window_of(storage, "s", Window(ids=tuple(names), limit=2))).items) == ["8", "9"]
    assert texts((await window_of(storage, "s", Window(ids=tuple(names), limit=2, newest=False))).items) == ["0", "1"]
    assert list((await window_of(storage, "s", Window(ids=()))).items) == []


@pytest.mark.parametrize(
    "text",
    [
        "null",
        '""',
        "[]",
        '{"b":1,"a":2,"b":3}',
        '{ "a" : [ 1 , 2 ] }',
        '"\\u0000\\ud800 \\u001e \\u001E:1:2"',
        '"\U0001f600 \u2028 \x7f"',
        "-0.0",
        "1e16",
        "1.0",
        "9" * 400,
        '"' + "x" * 100_000 + '"',
        '"1:2:3"',
    ],
    ids=lambda text: text[:20],
)
async def test_items_come_out_character_by_character(storage: StorageProvider, text: str) -> None:
    await put(storage, "s")
    await fill(storage, "s", text, "1", text)
    assert await texts_of(storage) == [text, "1", text]


async def test_the_time_of_an_item_is_exact(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "s")
    times = [START, START + MOMENT, START + MOMENT * 999_999, START + TTL - MOMENT]
    for at, time in enumerate(times):
        clock.now = time
        await fill(storage, "s", str(at))
    assert list((await window_of(storage, "s", Window())).items) == [
        StoredItem(at + 1, str(at), time) for at, time in enumerate(times)
    ]


async def test_many_sessions_are_read_with_the_items_of_each(storage: StorageProvider) -> None:
    await put(storage, "a", "b", "c")
    await fill(storage, "a", *TEN)
    await fill(storage, "b", "1")
    asked = [key("b"), key("absent"), key("a"), key("c"), key("b")]
    documents = await storage.get_many(asked, window=Window(limit=2))
    assert [document and texts(document.items) for document in documents] == [["1"], None, ["9", "10"], [], ["1"]]
    assert [document and document.journal for document in documents] == [None] * 5


async def test_a_journal_and_items_are_read_together(storage: StorageProvider) -> None:
    await put(storage, "s")
    await fill(storage, "s", *TEN)
    (before,) = await storage.get_many([key()], journal=True)
    (document,) = await storage.get_many([key()], journal=True, window=Window(limit=1))
    assert before is not None
    assert document is not None
    assert (document.journal, texts(document.items)) == (before.journal, ["10"])


async def test_a_read_with_items_is_an_access(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "s", ttl=TTL)
    await fill(storage, "s", "1")
    clock.advance(TTL * 0.9)
    document = await storage.get(key(), window=Window())
    assert document is not None
    assert document.summary.last_accessed_at == clock.now
    assert texts(document.items) == ["1"]
    clock.advance(TTL * 0.9)
    assert await storage.get(key(), touch=False, window=Window()) is not None
    clock.advance(TTL * 0.9)
    assert await storage.get(key(), window=Window()) is None


async def test_items_are_read_by_the_owner_of_the_session(storage: StorageProvider) -> None:
    await put(storage, "s", owner_id="u1")
    await fill(storage, "s", "1")
    for owner_id, found in ((None, ["1"]), ("u1", ["1"]), ("u2", None)):
        document = await storage.get(key(), owner_id=owner_id, window=Window())
        assert (document and texts(document.items)) == found


async def test_callers_at_once_get_the_windows_they_asked_for(storage: StorageProvider) -> None:
    names = [f"s{n}" for n in range(8)]
    await put(storage, *names, owner_id="u1")
    for name in names:
        await fill(storage, name, *(f'"{name}-{n}"' for n in range(5)))

    async def read(name: str, limit: int, owner_id: str | None) -> None:
        document = await storage.get(key(name), owner_id=owner_id, window=Window(limit=limit))
        if owner_id == "u2":
            assert document is None
        else:
            assert document is not None
            assert texts(document.items) == [f'"{name}-{n}"' for n in range(5)][5 - limit :]

    async def read_plainly(name: str) -> None:
        document = await storage.get(key(name))
        assert document is not None
        assert document.items == ()

    await asyncio.gather(
        *(read(name, limit, owner) for name in names for limit in range(6) for owner in (None, "u1", "u2")),
        *map(read_plainly, names),
    )


async def test_items_of_an_expired_or_deleted_session_never_show_again(
    storage: StorageProvider, clock: ManualClock
) -> None:
    await put(storage, "expired", "replaced", "deleted")
    for name in ("expired", "replaced", "deleted"):
        await fill(storage, name, *TEN)
    assert await storage.delete(key("deleted"))
    await put(storage, "deleted")
    clock.advance(TTL * 2)
    assert await storage.get(key("expired"), window=Window()) is None
    await put(storage, "expired", "deleted")
    await storage.set(draft("replaced"))
    for name in ("expired", "replaced", "deleted"):
        document = await window_of(storage, name, Window())
        assert (list(document.items), document.summary.last_position, document.summary.item_count) == ([], 0, 0)
        await fill(storage, name, '"new"')
        assert (await window_of(storage, name, Window())).items[0][:2] == (1, '"new"')


async def test_a_write_of_the_state_leaves_the_items(storage: StorageProvider) -> None:
    await put(storage, "s")
    await fill(storage, "s", *TEN)
    document = await window_of(storage, "s", Window(limit=1))
    written = await storage.update(rewrite(document, '{"n":1}'))
    assert written is not None
    assert (written.last_position, written.item_count) == (10, 10)
    for renew in (False, True):
        await storage.set(draft("s"), renew=renew)
        assert await texts_of(storage) == TEN


async def test_a_read_of_items_tells_when_the_storage_read_the_session(
    storage: StorageProvider, clock: ManualClock
) -> None:
    await put(storage, "s")
    await fill(storage, "s", *TEN)
    clock.advance(TTL / 2)
    for touch in (False, True):
        read = await storage.get(key(), touch=touch, window=Window("", 3))
        assert read is not None
        assert read.read_at == clock()

"""Listings of sessions, page by page."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from sessionstore import ConfigurationError, StorageProvider
from sessionstore.storage import Key, Order, Place, Summary

from ...capability import Capability, needs
from ...clock import ManualClock
from ...support.documents import MOMENT, TTL, draft, ids, key, put, rewrite
from ...support.logs import fill


async def pages(storage: StorageProvider, limit: int, namespace: str | None = None, **only: Any) -> list[list[Summary]]:
    """Reads all pages."""
    page = await storage.list(namespace, limit=limit, **only)
    read = [list(page.sessions)]
    while page.next is not None:
        page = await storage.list(namespace, limit=limit, after=page.next, **only)
        read.append(list(page.sessions))
    return read


async def test_a_list_tells_the_facts_of_each_session(storage: StorageProvider) -> None:
    created = await storage.create_many([draft("b", owner_id="u1", origin='{"a":1}'), draft("a", ttl=None)])
    page = await storage.list("chat")
    assert list(page.sessions) == [creation.document.summary for creation in reversed(created)]
    assert page.next is None


async def test_a_list_is_in_the_order_of_code_points(storage: StorageProvider) -> None:
    names = ["10", "9", "A", "Z", "_", "a", "a b", "ab", "z", "\u00e9", "\uffff", "\U0001f600"]
    await put(storage, *reversed(names))
    assert ids((await storage.list()).sessions) == names == sorted(names)
    assert [ids(page) for page in await pages(storage, 5)] == [names[:5], names[5:10], names[10:]]


async def test_a_list_leaves_expired_sessions_out(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "a", "c", "e")
    clock.advance(TTL * 2)
    await put(storage, "b", "d")
    assert [ids(page) for page in await pages(storage, 1)] == [["b"], ["d"]]


async def test_a_list_is_no_access(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "s")
    before = await storage.get(key(), touch=False)
    clock.advance(TTL)
    await storage.list()
    assert await storage.get(key(), touch=False) == before


@pytest.mark.parametrize("clear", [False, True], ids=["list", "clear"])
@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("", ["%a", "A1", "[a-z]", "\\_", "_a", "a%b", "a%c", "a1", "a_b", "axb", "\u00e4"]),
        ("a", ["a%b", "a%c", "a1", "a_b", "axb"]),
        ("a%", ["a%b", "a%c"]),
        ("a_", ["a_b"]),
        ("%", ["%a"]),
        ("_", ["_a"]),
        ("\\", ["\\_"]),
        ("[", ["[a-z]"]),
        ("*", []),
        ("A", ["A1"]),
        ("\u00e4", ["\u00e4"]),
        ("a1", ["a1"]),
        ("a11", []),
        ("\U0010ffff", []),
    ],
)
async def test_a_prefix_means_exactly_what_it_says(
    storage: StorageProvider, prefix: str, found: list[str], *, clear: bool
) -> None:
    names = ["%a", "A1", "[a-z]", "\\_", "_a", "a%b", "a%c", "a1", "a_b", "axb", "\u00e4"]
    await put(storage, *names)
    if clear:
        assert await storage.clear("chat", prefix=prefix) == len(found)
        assert ids((await storage.list("chat")).sessions) == [name for name in names if name not in found]
    else:
        assert ids((await storage.list("chat", prefix=prefix)).sessions) == found


async def test_an_owner_finds_exactly_their_sessions(storage: StorageProvider) -> None:
    await put(storage, "a", "b", "c", owner_id="u1")
    await put(storage, "d", owner_id="u1 ")
    await put(storage, "e", owner_id="U1")
    await put(storage, "f", owner_id="u%")
    await put(storage, "g")
    await put(storage, "h", owner_id="u1", namespace="other")
    assert ids((await storage.list("chat", owner_id="u1")).sessions) == ["a", "b", "c"]
    assert ids((await storage.list(owner_id="u1")).sessions) == ["a", "b", "c", "h"]
    assert ids((await storage.list(owner_id="u%")).sessions) == ["f"]
    assert ids((await storage.list(owner_id="u1", prefix="b")).sessions) == ["b"]
    assert [ids(page) for page in await pages(storage, 3, owner_id="u1")] == [["a", "b", "c"], ["h"]]


async def test_pages_go_on_after_a_key_where_namespaces_share_ids(storage: StorageProvider) -> None:
    namespaces, names = ["a", "a:b", "b"], ["b", "c", "x"]
    for namespace in reversed(namespaces):
        await put(storage, *names, namespace=namespace)
    everything = [Key(namespace, name) for namespace in namespaces for name in names]
    for limit in (1, 2, 3, 4, 9, 100):
        read = await pages(storage, limit)
        assert [summary.key for page in read for summary in page] == everything
        assert all(len(page) == limit for page in read[:-1])
    assert [summary.key for page in await pages(storage, 2, "a:b") for summary in page] == everything[3:6]


async def test_a_page_that_holds_the_rest_is_the_last(storage: StorageProvider) -> None:
    await put(storage, "a", "b")
    assert (await storage.list(limit=2)).next is None
    assert (await storage.list(limit=1)).next == key("a")
    assert (await storage.list(limit=1, after=key("a"))).next is None


async def test_a_change_between_two_pages_neither_repeats_nor_hides_a_session(storage: StorageProvider) -> None:
    await put(storage, "b", "d", "f", "h")
    first = await storage.list(limit=2)
    assert first.next is not None
    await storage.delete_many([key("b"), key("d")])
    await put(storage, "a", "c", "e")
    assert ids((await storage.list(after=first.next)).sessions) == ["e", "f", "h"]


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_page_of_nothing_is_refused(storage: StorageProvider, limit: int) -> None:
    with pytest.raises(ConfigurationError):
        await storage.list(limit=limit)


async def test_an_empty_storage_lists_nothing(storage: StorageProvider) -> None:
    page = await storage.list("nowhere", prefix="x", owner_id="nobody", after=key("z"))
    assert (list(page.sessions), page.next) == ([], None)


async def test_clearing_a_namespace_leaves_the_others(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "expired")
    clock.advance(TTL * 2)
    await put(storage, "a", "b")
    await put(storage, "a", namespace="other")
    await put(storage, "a", namespace="cha_")
    assert await storage.clear("chat") == 2
    assert await storage.count_expired() == 0
    assert [summary.key for summary in (await storage.list()).sessions] == [Key("cha_", "a"), Key("other", "a")]
    assert await storage.clear("chat") == 0


async def test_clearing_without_a_namespace_clears_all(storage: StorageProvider) -> None:
    await put(storage, "a1", "b", namespace="one")
    await put(storage, "a2", namespace="two")
    assert await storage.clear(prefix="a") == 2
    assert await storage.clear() == 1
    assert list(await storage.stats()) == []


async def test_clearing_many_sessions_clears_all_of_them(storage: StorageProvider) -> None:
    for start in range(0, 2500, 500):
        await put(storage, *(f"s{n:05}" for n in range(start, start + 500)))
    counts = await asyncio.gather(storage.clear("chat"), storage.clear("chat"))
    assert sum(counts) == 2500
    assert list(await storage.stats()) == []


async def _recent_pages(storage: StorageProvider, limit: int, **only: Any) -> list[list[str]]:
    page = await storage.list(limit=limit, order="recent", **only)
    read = [ids(page.sessions)]
    while page.next is not None:
        assert page.next == Place(page.sessions[-1].updated_at, page.sessions[-1].key)
        page = await storage.list(limit=limit, order="recent", after=page.next, **only)
        read.append(ids(page.sessions))
    return read


@needs(Capability.ITEMS)
async def test_the_session_changed_last_comes_first_in_a_list_by_recency(
    storage: StorageProvider, clock: ManualClock
) -> None:
    for name in ("b", "a", "d", "c"):
        await put(storage, name)
        clock.advance(MOMENT)
    assert ids((await storage.list(order="recent")).sessions) == ["c", "d", "a", "b"]
    await storage.update_locked(key("b"), rewrite)
    clock.advance(MOMENT)
    await fill(storage, "a", "1")
    clock.advance(TTL / 2)
    await storage.get(key("d"))  # an access is not a change
    assert ids((await storage.list(order="recent")).sessions) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
async def test_pages_by_recency_go_on_where_times_are_equal(
    storage: StorageProvider, clock: ManualClock, limit: int
) -> None:
    for round_ in range(3):
        await put(storage, *(f"{name}{round_}" for name in ("x", "a", "m")), owner_id="u1")
        await put(storage, f"a{round_}", namespace="another", owner_id="u2")
        clock.advance(MOMENT)
    everything = [name for at in (2, 1, 0) for name in (f"a{at}", f"a{at}", f"m{at}", f"x{at}")]
    read = await _recent_pages(storage, limit)
    assert [name for page in read for name in page] == everything
    assert all(len(page) == limit for page in read[:-1])
    of_owner = await _recent_pages(storage, limit, namespace="chat", owner_id="u1", prefix="a")
    assert [name for page in of_owner for name in page] == ["a2", "a1", "a0"]


async def test_a_list_by_recency_leaves_expired_sessions_out(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "a", "c")
    clock.advance(TTL * 2)
    await put(storage, "b")
    assert await _recent_pages(storage, 1) == [["b"]]


@needs(Capability.ITEMS)
async def test_a_session_changed_between_two_pages_by_recency_is_not_repeated(
    storage: StorageProvider, clock: ManualClock
) -> None:
    for name in ("a", "b", "c", "d"):
        await put(storage, name)
        clock.advance(MOMENT)
    first = await storage.list(limit=2, order="recent")
    assert ids(first.sessions) == ["d", "c"]
    for name in ("a", "d"):
        await fill(storage, name, "1")
    assert ids((await storage.list(order="recent", after=first.next)).sessions) == ["b"]


@pytest.mark.parametrize("order", ["key", "recent"])
async def test_a_list_has_the_states_if_asked(storage: StorageProvider, order: Order) -> None:
    for name in ("a", "b", "c"):
        await put(storage, name, state=f'{{"n":"{name}"}}')
    plain = await storage.list(order=order, limit=2)
    page = await storage.list(order=order, limit=2, states=True)
    assert page._replace(states=(), state_versions=()) == plain
    assert [json.loads(state) for state in page.states] == [{"n": "a"}, {"n": "b"}]
    rest = await storage.list(order=order, after=page.next, states=True)
    assert [json.loads(state) for state in rest.states] == [{"n": "c"}]

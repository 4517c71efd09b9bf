"""Entries of a store: what is put comes back, and expires exactly at its time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest
from key_value.aio.errors import InvalidTTLError
from key_value.aio.protocols import key_value as protocols

from sessionstore import ConfigurationError, Reaper, SessionManager, StorageProvider
from sessionstore.integrations.key_value import StoredKeyValue
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.support.documents import MOMENT

_NAMES = [
    "plain",
    "",
    " ",
    "a/b",
    "/",
    "a%2Fb",
    "~",
    "%",
    "nul \0 and \x1f, \x7f, \x9f",
    "lone \ud800 surrogate",
    "two \ud83d\ude00 surrogates",
    "ключ 🙂",
    "x" * 255,
    "x" * 256,
    "long" * 5000,
    "long" * 5000 + "er",
    "é" * 84,
    "é" * 85,
]


def test_the_store_keeps_the_protocols(store: StoredKeyValue) -> None:
    for protocol in (
        protocols.AsyncKeyValue,
        protocols.AsyncKeyValueProtocol,
        protocols.AsyncEnumerateKeysProtocol,
        protocols.AsyncEnumerateCollectionsProtocol,
        protocols.AsyncDestroyCollectionProtocol,
        protocols.AsyncDestroyStoreProtocol,
        protocols.AsyncCullProtocol,
    ):
        assert isinstance(store, protocol)


async def test_a_value_is_put_read_overwritten_and_deleted(store: StoredKeyValue) -> None:
    assert await store.get("k") is None
    assert await store.ttl("k") == (None, None)
    await store.put("k", {"n": 1})
    assert await store.get("k") == {"n": 1}
    await store.put("k", MappingProxyType({"n": 2}))
    assert await store.ttl("k") == ({"n": 2}, None)
    assert await store.delete("k") is True
    assert await store.delete("k") is False
    assert await store.get("k") is None


async def test_bulk_calls_answer_in_the_order_of_the_keys(store: StoredKeyValue) -> None:
    await store.put_many(("a", "b", "a"), ({"n": 1}, {"n": 2}, {"n": 3}), ttl=10)
    assert await store.get_many(["b", "absent", "a", "a"]) == [{"n": 2}, None, {"n": 3}, {"n": 3}]
    assert await store.ttl_many(["absent", "a"]) == [(None, None), ({"n": 3}, 10.0)]
    assert await store.delete_many(["a", "absent", "a", "b"]) == 2
    assert await store.get_many([]) == []
    assert await store.ttl_many([]) == []
    assert await store.delete_many([]) == 0
    await store.put_many([], [])
    with pytest.raises(ValueError, match="one value for each key"):
        await store.put_many(["a", "b"], [{}])


async def test_collections_do_not_see_each_other(store: StoredKeyValue, storage: StorageProvider) -> None:
    await store.put("k", {"in": "default"})
    await store.put("k", {"in": "c"}, collection="c")
    assert await store.get("k", collection="") == await store.get("k", collection="default_collection")
    assert await store.get("k", collection="d") is None
    assert await store.get_many(["k"], collection="c") == [{"in": "c"}]
    assert await StoredKeyValue(storage, default_collection="c").get("k") == {"in": "c"}
    assert await store.delete("k", collection="c")
    assert await store.get("k") == {"in": "default"}


@pytest.mark.parametrize("as_collection", [False, True])
async def test_names_of_any_text_and_length_are_different_and_are_listed(
    store: StoredKeyValue, as_collection: bool
) -> None:
    for n, name in enumerate(_NAMES):
        key, collection = ("k", name or "(none)") if as_collection else (name, "c")
        await store.put(key, {"n": n}, collection=collection)
    found = [
        await store.get("k", collection=name or "(none)") if as_collection else await store.get(name, collection="c")
        for name in _NAMES
    ]
    assert found == [{"n": n} for n in range(len(_NAMES))]
    listed = await store.collections() if as_collection else await store.keys("c")
    assert sorted(listed) == sorted(name or "(none)" if as_collection else name for name in _NAMES)


async def test_keys_and_collections_are_listed_up_to_a_limit(store: StoredKeyValue) -> None:
    assert await store.keys() == await store.collections() == []
    for collection in ("a", "a-b", "a.b", "b" * 300):
        await store.put_many([f"k{n}" for n in range(3)], [{}] * 3, collection=collection)
    await store.put("k", {})
    assert sorted(await store.collections()) == sorted(["a", "a-b", "a.b", "b" * 300, "default_collection"])
    assert len(await store.collections(limit=2)) == 2
    assert await store.keys("a") == ["k0", "k1", "k2"]
    assert await store.keys("a", limit=2) == ["k0", "k1"]
    assert await store.keys() == ["k"]
    assert await store.keys("b") == []


async def test_more_keys_than_a_page_are_listed(store: StoredKeyValue) -> None:
    names = [f"k{n:05}" for n in range(2001)]
    await store.put_many(names, [{}] * len(names))
    assert await store.keys() == names


async def test_a_collection_and_the_store_are_destroyed(store: StoredKeyValue, storage: StorageProvider) -> None:
    other = StoredKeyValue(storage, namespace="other")
    for collection in ("a", "a/b", "b"):
        await store.put("k", {}, collection=collection)
        await other.put("k", {}, collection=collection)
    assert await store.destroy_collection("a") is True
    assert await store.destroy_collection("a") is False
    assert sorted(await store.collections()) == ["a/b", "b"]
    assert await store.destroy() is True
    assert await store.collections() == []
    assert sorted(await other.collections()) == ["a", "a/b", "b"]


async def test_an_entry_expires_exactly_at_its_time_and_no_read_extends_it(
    store: StoredKeyValue, clock: ManualClock
) -> None:
    await store.put("k", {"n": 1}, ttl=600)
    clock.advance(timedelta(seconds=590))
    assert await store.get("k") == {"n": 1}
    assert await store.ttl("k") == ({"n": 1}, 10.0)
    assert await store.get_many(["k"]) == [{"n": 1}]
    assert await store.ttl_many(["k", "k"]) == [({"n": 1}, 10.0)] * 2
    clock.advance(timedelta(seconds=10) - MOMENT)
    assert await store.ttl("k") == ({"n": 1}, 1e-06)
    clock.advance(MOMENT)
    assert await store.get("k") is None
    assert await store.ttl("k") == (None, None)
    assert await store.ttl_many(["k"]) == [(None, None)]
    assert await store.keys() == await store.collections() == []
    assert await store.delete("k") is False


async def test_a_put_starts_the_ttl_anew(store: StoredKeyValue, clock: ManualClock) -> None:
    await store.put("k", {}, ttl=60)
    clock.advance(timedelta(seconds=59))
    await store.put("k", {}, ttl=30)
    assert (await store.ttl("k"))[1] == 30.0
    clock.advance(timedelta(seconds=29))
    await store.put_many(["k"], [{}], ttl=90.5)
    assert (await store.ttl("k"))[1] == 90.5
    await store.put("k", {})
    clock.advance(timedelta(days=10_000))
    assert await store.ttl("k") == ({}, None)


async def test_a_value_over_an_expired_one_is_a_new_entry(store: StoredKeyValue, clock: ManualClock) -> None:
    await store.put("k", {"n": 1}, ttl=1)
    clock.advance(timedelta(seconds=1))
    await store.put("k", {"n": 2}, ttl=1)
    assert await store.ttl("k") == ({"n": 2}, 1.0)


@pytest.mark.parametrize("ttl", [0, -1, True, False, "5", float("nan"), float("inf"), 1e300, None.__class__, [1]])
async def test_an_invalid_ttl_is_refused_and_nothing_is_stored(store: StoredKeyValue, ttl: Any) -> None:
    with pytest.raises(InvalidTTLError):
        await store.put("k", {}, ttl=ttl)
    with pytest.raises(InvalidTTLError):
        await store.put_many(["k"], [{}], ttl=ttl)
    with pytest.raises(InvalidTTLError):
        await store.put_if_absent("k", {}, ttl=ttl)
    assert await store.get("k") is None


async def test_the_shortest_ttl_is_a_microsecond(store: StoredKeyValue, clock: ManualClock) -> None:
    await store.put("k", {}, ttl=1e-12)
    assert await store.ttl("k") == ({}, 1e-06)
    clock.advance(MOMENT)
    assert await store.get("k") is None


async def test_a_value_is_put_only_if_there_is_none(store: StoredKeyValue, clock: ManualClock) -> None:
    stored = await asyncio.gather(*(store.put_if_absent("k", {"n": n}, ttl=60) for n in range(20)))
    assert stored.count(True) == 1
    assert await store.ttl("k") == ({"n": stored.index(True)}, 60.0)
    clock.advance(timedelta(seconds=60))
    assert await store.put_if_absent("k", {"n": 21}) is True
    assert await store.ttl("k") == ({"n": 21}, None)


async def test_sessions_of_others_are_no_entries(store: StoredKeyValue, storage: StorageProvider) -> None:
    sessions: SessionManager[dict[str, int]] = SessionManager(lambda _: {}, storage)
    await sessions.create_session("default_collection/k")
    assert await store.get("k") is None
    assert await store.destroy()
    assert (await sessions.get_session("default_collection/k")).success


async def test_expired_entries_are_reaped(store: StoredKeyValue, storage: StorageProvider, clock: ManualClock) -> None:
    await store.put_many(["a", "b"], [{}] * 2, ttl=10)
    await store.put("c", {})
    clock.advance(timedelta(seconds=10))
    assert (await Reaper(storage).run_once(dry_run=True)).remaining == 2
    await store.cull()
    assert (await Reaper(storage).run_once()).deleted == 0
    assert await store.keys() == ["c"]


def test_an_invalid_namespace_is_refused(storage: StorageProvider) -> None:
    with pytest.raises(ConfigurationError):
        StoredKeyValue(storage, namespace="")

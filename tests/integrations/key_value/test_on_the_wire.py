"""What the store sends to a PostgreSQL server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

import pytest

from sessionstore import open_storage
from sessionstore.integrations.key_value import StoredKeyValue
from tests.support.wire import WireCounter

_KEYS: Final = [f"k{n}" for n in range(300)]
_Call: TypeAlias = Callable[[StoredKeyValue], Awaitable[object]]

_CALLS: Mapping[str, _Call] = {
    "get": lambda store: store.get("k1"),
    "ttl": lambda store: store.ttl("k1"),
    "put over another": lambda store: store.put("k1", {}, ttl=60),
    "put": lambda store: store.put("new", {}),
    "put if absent": lambda store: store.put_if_absent("newer", {}, ttl=60),
    "delete": lambda store: store.delete("k1"),
    "get many": lambda store: store.get_many(_KEYS),
    "ttl many": lambda store: store.ttl_many(_KEYS),
    "put many": lambda store: store.put_many([*_KEYS, "another"], [{"n": 1}] * 301, ttl=60),
    "delete many": lambda store: store.delete_many([*_KEYS, "none"]),
    "keys": lambda store: store.keys(),
}


@pytest.mark.parametrize("driver", ["postgresql", "postgresql-asyncpg"])
async def test_each_call_is_one_statement(url_of_kind: Callable[[str], str], driver: str) -> None:
    async with WireCounter(url_of_kind(driver)) as wire, open_storage(wire.url) as storage:
        store = StoredKeyValue(storage)
        trips: dict[str, int] = {}
        for name, call in _CALLS.items():
            await store.put_many(_KEYS, [{"n": 0}] * len(_KEYS), ttl=600)
            await call(store)  # the driver prepares the statement
            await store.put_many(_KEYS, [{"n": 0}] * len(_KEYS), ttl=600)
            await store.delete_many(["new", "newer", "another"])
            with wire.counting() as seen:
                await call(store)
            trips[name] = seen.round_trips
    assert trips == dict.fromkeys(_CALLS, 1)


async def test_calls_of_many_callers_go_together(url_of_kind: Callable[[str], str], patient: None) -> None:
    async with WireCounter(url_of_kind("postgresql")) as wire, open_storage(wire.url) as storage:
        store = StoredKeyValue(storage)
        await store.put("k", {})
        with wire.counting() as seen:
            await asyncio.gather(*(store.put(name, {"of": name}, ttl=60) for name in _KEYS))
        assert seen.round_trips < len(_KEYS) / 10
        with wire.counting() as seen:
            found = await asyncio.gather(*map(store.get, _KEYS))
        assert seen.round_trips < len(_KEYS) / 10
        assert found == [{"of": name} for name in _KEYS]
        with wire.counting() as seen:
            assert all(await asyncio.gather(*map(store.delete, _KEYS)))
        assert seen.round_trips < len(_KEYS) / 10

"""The same program on the store and on py-key-value's MemoryStore: calls, and moves of the clock of both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from key_value.aio.errors import BaseKeyValueError
from key_value.aio.stores.memory import MemoryStore

from sessionstore.integrations.key_value import StoredKeyValue
from sessionstore.testing.clock import START, ManualClock
from sessionstore.testing.support.documents import MOMENT

R = TypeVar("R")

_keys = st.sampled_from(["a", "b", "a/b", "", "k" * 300]) | st.text(st.characters(), max_size=3)
_collections = st.sampled_from([None, "", "c", "c/a", "c" * 300])
_ttls = st.none() | st.sampled_from([1, 2.5, 0.000001, 600]) | st.sampled_from([0, -1, True])
_texts = st.text(st.characters(), max_size=4)
_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _texts
_json = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3))
_values = st.dictionaries(_texts, _json | st.just(object()) | st.just((1, 2)), max_size=4)


class Programs(RuleBasedStateMachine):
    """Makes each call on both, and compares the answers or the errors.

    MemoryStore answers otherwise in three ways, and there the comparison asks it otherwise. It deletes, counts and
    lists entries that have expired; it lists collections that were only read; and it lists at most 10,000.

    Args:
        store: The store, on the clock.
        clock: The time of both.
        runner: Runs the calls.
    """

    def __init__(self, store: StoredKeyValue, clock: ManualClock, runner: asyncio.Runner) -> None:
        super().__init__()
        clock.now = START
        self._clock = clock
        self._runner = runner
        self._store = store
        self._memory = MemoryStore()

    def teardown(self) -> None:
        self._runner.run(self._store.destroy())

    def _both(self, call: Callable[[Any], Awaitable[R]], expected: Callable[[], Awaitable[R]] | None = None) -> None:
        async def told(answer: Awaitable[R]) -> object:
            try:
                return await answer
            except (BaseKeyValueError, ValueError, TypeError) as error:
                return type(error)

        async def both() -> tuple[object, object]:
            wanted = await told(expected() if expected else call(self._memory))
            return await told(call(self._store)), wanted

        answer, wanted = self._runner.run(both())
        assert answer == wanted

    async def _live(self, keys: list[str], collection: str | None) -> set[str]:
        found = await self._memory.get_many(keys, collection=collection)
        return {key for key, value in zip(keys, found, strict=True) if value is not None}

    @rule(key=_keys, value=_values, collection=_collections, ttl=_ttls)
    def put(self, key: str, value: dict[str, Any], collection: str | None, ttl: Any) -> None:
        self._both(lambda store: store.put(key, value, collection=collection, ttl=ttl))

    @rule(keys=st.lists(_keys, max_size=4), value=_values, more=st.booleans(), collection=_collections, ttl=_ttls)
    def put_many(self, keys: list[str], value: dict[str, Any], more: bool, collection: str | None, ttl: Any) -> None:
        values = [{"n": n} for n in range(len(keys))] + [value] * more
        self._both(lambda store: store.put_many(keys, values, collection=collection, ttl=ttl))

    @rule(key=_keys, collection=_collections)
    def get(self, key: str, collection: str | None) -> None:
        self._both(lambda store: store.get(key, collection=collection))
        self._both(lambda store: store.ttl(key, collection=collection))

    @rule(keys=st.lists(_keys, max_size=5), collection=_collections)
    def get_many(self, keys: list[str], collection: str | None) -> None:
        self._both(lambda store: store.get_many(keys, collection=collection))
        self._both(lambda store: store.ttl_many(keys, collection=collection))

    @rule(key=_keys, collection=_collections)
    def delete(self, key: str, collection: str | None) -> None:
        async def expected() -> bool:
            live = await self._live([key], collection)
            await self._memory.delete(key, collection=collection)
            return bool(live)

        self._both(lambda store: store.delete(key, collection=collection), expected)

    @rule(keys=st.lists(_keys, max_size=5), collection=_collections)
    def delete_many(self, keys: list[str], collection: str | None) -> None:
        async def expected() -> int:
            live = await self._live(keys, collection)
            await self._memory.delete_many(keys, collection=collection)
            return len(live)

        self._both(lambda store: store.delete_many(keys, collection=collection), expected)

    @rule(collection=_collections)
    def list_keys(self, collection: str | None) -> None:
        async def expected() -> list[str]:
            return sorted(await self._live(await self._memory.keys(collection), collection))

        self._both(lambda store: _sorted(store.keys(collection)), expected)

    @rule()
    def list_collections(self) -> None:
        async def expected() -> list[str]:
            names = await self._memory.collections()
            return sorted([name for name in names if await self._live(await self._memory.keys(name), name)])

        self._both(lambda store: _sorted(store.collections()), expected)

    @rule(collection=st.sampled_from(["c", "c/a", "default_collection"]))
    def destroy_collection(self, collection: str) -> None:
        async def expected() -> bool:
            live = await self._live(await self._memory.keys(collection), collection)
            return await self._memory.destroy_collection(collection) and bool(live)

        self._both(lambda store: store.destroy_collection(collection), expected)
        # MemoryStore forgets that it has set the collection up, and fails at the next call.
        self._runner.run(self._set_up(collection))

    async def _set_up(self, collection: str) -> None:
        await self._memory._setup_collection(collection=collection)

    @rule(by=st.sampled_from([MOMENT, timedelta(seconds=1), timedelta(seconds=2.5), timedelta(minutes=10)]))
    def advance(self, by: timedelta) -> None:
        self._clock.advance(by)


async def _sorted(names: Awaitable[list[str]]) -> list[str]:
    return sorted(await names)

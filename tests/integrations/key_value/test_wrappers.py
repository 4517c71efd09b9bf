"""py-key-value's wrappers and adapters around the store: what goes in through them comes out through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from key_value.aio.adapters.pydantic import PydanticAdapter
from key_value.aio.adapters.raise_on_missing import RaiseOnMissingAdapter
from key_value.aio.errors import DeserializationError, EntryTooLargeError, MissingKeyError, ReadOnlyError
from key_value.aio.protocols.key_value import AsyncKeyValue
from key_value.aio.stores.memory import MemoryStore
from key_value.aio.wrappers.compression import CompressionWrapper
from key_value.aio.wrappers.encryption import FernetEncryptionWrapper
from key_value.aio.wrappers.fallback import FallbackWrapper
from key_value.aio.wrappers.limit_size import LimitSizeWrapper
from key_value.aio.wrappers.logging import LoggingWrapper
from key_value.aio.wrappers.passthrough_cache import PassthroughCacheWrapper
from key_value.aio.wrappers.prefix_collections import PrefixCollectionsWrapper
from key_value.aio.wrappers.prefix_keys import PrefixKeysWrapper
from key_value.aio.wrappers.read_only import ReadOnlyWrapper
from key_value.aio.wrappers.retry import RetryWrapper
from key_value.aio.wrappers.routing import RoutingWrapper
from key_value.aio.wrappers.single_collection import SingleCollectionWrapper
from key_value.aio.wrappers.statistics import StatisticsWrapper
from key_value.aio.wrappers.timeout import TimeoutWrapper
from key_value.aio.wrappers.ttl_clamp import TTLClampWrapper
from pydantic import BaseModel

from sessionstore import StorageProvider, StorageUnavailableError
from sessionstore.integrations.key_value import StoredKeyValue
from sessionstore.testing.clock import ManualClock

_SECRET = "geheim" * 500

_WRAPPED: Mapping[str, Callable[[AsyncKeyValue], AsyncKeyValue]] = {
    "compression": lambda store: CompressionWrapper(store, min_size_to_compress=1),
    "encryption": lambda store: FernetEncryptionWrapper(store, fernet=Fernet(Fernet.generate_key())),
    "fallback": lambda store: FallbackWrapper(store, MemoryStore()),
    "limit size": lambda store: LimitSizeWrapper(store, max_size=100_000),
    "logging": LoggingWrapper,
    "passthrough cache": lambda store: PassthroughCacheWrapper(store, MemoryStore()),
    "prefix collections": lambda store: PrefixCollectionsWrapper(store, prefix="app"),
    "prefix keys": lambda store: PrefixKeysWrapper(store, prefix="app"),
    "retry": lambda store: RetryWrapper(store, retry_on=(StorageUnavailableError,)),
    "routing": lambda store: RoutingWrapper(lambda _: None, default_store=store),
    "single collection": lambda store: SingleCollectionWrapper(store, single_collection="all"),
    "statistics": StatisticsWrapper,
    "timeout": lambda store: TimeoutWrapper(store, timeout=60.0),
    "TTL clamp": lambda store: TTLClampWrapper(store, min_ttl=1, max_ttl=3600, missing_ttl=60),
    "several": lambda store: PrefixCollectionsWrapper(
        FernetEncryptionWrapper(CompressionWrapper(store), source_material="geheim", salt="salz"), prefix="app/1"
    ),
}


@pytest.mark.parametrize("wrap", _WRAPPED.values(), ids=list(_WRAPPED))
async def test_a_wrapper_reads_what_it_wrote(
    store: StoredKeyValue, clock: ManualClock, wrap: Callable[[AsyncKeyValue], AsyncKeyValue]
) -> None:
    wrapped = wrap(store)
    value: dict[str, Any] = {"b": [1, 1.5, None, "Zoë \0"], "a": {"text": _SECRET}}
    for collection in (None, "c", "c" * 400):
        await wrapped.put("k", value, collection=collection, ttl=60)
        await wrapped.put_many(["l", "m" * 400], [value, {}], collection=collection, ttl=120)
        assert await wrapped.get("k", collection=collection) == value
        assert await wrapped.get_many(["m" * 400, "l", "none"], collection=collection) == [{}, value, None]
        clock.advance(timedelta(seconds=20))
        assert (await wrapped.ttl_many(["none", "k"], collection=collection))[0] == (None, None)
        found, left = await wrapped.ttl("l", collection=collection)
        assert found == value
        # The cache of passthrough has MemoryStore's own clock.
        assert left is not None
        assert left == 100.0 or isinstance(wrapped, PassthroughCacheWrapper)
        assert await wrapped.delete_many(["l", "none"], collection=collection) == 1
        assert await wrapped.delete("k", collection=collection)
        assert await wrapped.get("k", collection=collection) is None


async def test_nothing_of_an_encrypted_value_is_in_the_storage(store: StoredKeyValue, storage: StorageProvider) -> None:
    key = Fernet.generate_key()
    await FernetEncryptionWrapper(store, fernet=Fernet(key)).put("k", {"text": _SECRET})
    page = await storage.list(states=True)
    assert len(page.states) == 1
    assert "geheim" not in page.states[0]
    assert await FernetEncryptionWrapper(store, fernet=Fernet(key)).get("k") == {"text": _SECRET}
    another = FernetEncryptionWrapper(store, fernet=Fernet(Fernet.generate_key()), raise_on_decryption_error=False)
    assert await another.get("k") is None


async def test_a_missing_ttl_is_given_by_a_wrapper(store: StoredKeyValue) -> None:
    wrapped = TTLClampWrapper(store, min_ttl=10, max_ttl=100, missing_ttl=60)
    await wrapped.put("missing", {})
    await wrapped.put("short", {}, ttl=1)
    await wrapped.put("long", {}, ttl=1000)
    assert [left for _, left in await store.ttl_many(["missing", "short", "long"])] == [60.0, 10.0, 100.0]


async def test_wrappers_that_refuse_write_nothing(store: StoredKeyValue) -> None:
    with pytest.raises(ReadOnlyError):
        await ReadOnlyWrapper(store).put("k", {})
    with pytest.raises(EntryTooLargeError):
        await LimitSizeWrapper(store, max_size=100).put("k", {"text": "x" * 100})
    assert await store.keys() == []


class _User(BaseModel):
    name: str
    born: int | None = None


async def test_models_are_stored_by_the_pydantic_adapter(store: StoredKeyValue) -> None:
    users = PydanticAdapter[_User](store, _User, default_collection="users", raise_on_validation_error=True)
    await users.put("1", _User(name="Zoë"), ttl=60)
    await users.put_many(["2", "3"], [_User(name="Ann", born=1990)] * 2)
    assert await users.ttl("1") == (_User(name="Zoë"), 60.0)
    assert await users.get_many(["3", "none"]) == [_User(name="Ann", born=1990), None]
    assert await store.keys("users") == ["1", "2", "3"]
    await store.put("1", {"nobody": 1}, collection="users")
    with pytest.raises(DeserializationError):
        await users.get("1")

    lists = PydanticAdapter[list[_User]](store, list[_User], default_collection="lists")
    await lists.put("all", [_User(name="Zoë")])
    assert await lists.get("all") == [_User(name="Zoë")]


async def test_a_missing_key_raises_through_the_adapter(store: StoredKeyValue) -> None:
    with pytest.raises(MissingKeyError):
        await RaiseOnMissingAdapter(store).get("k", raise_on_missing=True)

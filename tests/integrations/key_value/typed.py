"""What a type checker makes of the adapter, as tests/typing/examples.py."""

from __future__ import annotations

from typing import Any, assert_type

from key_value.aio.adapters.pydantic import PydanticAdapter
from key_value.aio.protocols.key_value import (
    AsyncCullProtocol,
    AsyncDestroyCollectionProtocol,
    AsyncDestroyStoreProtocol,
    AsyncEnumerateCollectionsProtocol,
    AsyncEnumerateKeysProtocol,
    AsyncKeyValue,
)
from key_value.aio.wrappers.prefix_keys import PrefixKeysWrapper
from pydantic import BaseModel

from sessionstore import MemoryStorageProvider
from sessionstore.integrations.key_value import StoredKeyValue


class User(BaseModel):
    name: str


def stores() -> tuple[
    AsyncKeyValue,
    AsyncEnumerateKeysProtocol,
    AsyncEnumerateCollectionsProtocol,
    AsyncDestroyCollectionProtocol,
    AsyncDestroyStoreProtocol,
    AsyncCullProtocol,
]:
    store = StoredKeyValue(MemoryStorageProvider())
    return store, store, store, store, store, store


async def gives_values() -> None:
    store = StoredKeyValue(MemoryStorageProvider(), namespace="app", default_collection="users")
    assert_type(await store.get("k"), dict[str, Any] | None)
    assert_type(await store.get_many(["k"], collection="c"), list[dict[str, Any] | None])
    assert_type(await store.ttl("k"), tuple[dict[str, Any] | None, float | None])
    assert_type(await store.put_if_absent("k", {"n": 1}, ttl=1.5), bool)
    assert_type(await store.delete_many(["k"]), int)
    assert_type(await store.keys(), list[str])
    users = PydanticAdapter[User](PrefixKeysWrapper(store, prefix="u"), User)
    await users.put("k", User(name="Zoë"))

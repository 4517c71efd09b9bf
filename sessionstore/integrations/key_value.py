"""py-key-value: a key-value store for FastMCP and everything else that takes an ``AsyncKeyValue``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final, SupportsFloat

import orjson

from ..codec import verbatim
from ..codec.jsontext import Refused, named
from ..config import MAX_DURATION
from ..ids import check_namespace
from ..reaper import Reaper
from ..storage import Document, Draft, Key, StorageProvider, Summary
from .keys import joined, parts_of, prefix_of, whole
from .missing import missing_extra
from .pages import pages

try:
    from key_value.aio.errors import DeserializationError, InvalidTTLError, SerializationError
    from key_value.aio.protocols.key_value import (
        AsyncCullProtocol,
        AsyncDestroyCollectionProtocol,
        AsyncDestroyStoreProtocol,
        AsyncEnumerateCollectionsProtocol,
        AsyncEnumerateKeysProtocol,
        AsyncKeyValue,
    )
except ModuleNotFoundError as error:
    raise missing_extra("key-value", error) from error

__all__ = ["StoredKeyValue"]

_DEFAULT_COLLECTION: Final = "default_collection"
_MOMENT: Final = timedelta(microseconds=1)
_PAGE: Final = 1000
_CUT: Final = "~"
"""Marks an id that has an empty name, or from which a name cannot be read. Then the entry's origin holds the names."""
_AFTER_SLASH: Final = "0"
"""The character after the slash. The ids of a collection begin with its name and a slash, so they sort before its name
with this character."""


class StoredKeyValue(
    AsyncKeyValue,
    AsyncEnumerateKeysProtocol,
    AsyncEnumerateCollectionsProtocol,
    AsyncDestroyCollectionProtocol,
    AsyncDestroyStoreProtocol,
    AsyncCullProtocol,
):
    """Stores the entries of an ``AsyncKeyValue`` as sessions, one entry a session.

    An entry expires exactly at its time, by the storage's clock; no read extends it. Each bulk method is one statement.
    Keys and collections may be any text of any length. A value is kept as JSON text, so it comes back as it was put:
    with the order of its keys, NUL characters and integers of any size.

    A fault of the storage raises the errors of this library, and never looks like an absent entry.

    Args:
        storage: Where the entries are; the caller closes it.
        namespace: The namespace of the sessions. Stores with different namespaces do not see each other.
        default_collection: The collection of calls that name none.

    Raises:
        ConfigurationError: The namespace is invalid.
    """

    def __init__(
        self, storage: StorageProvider, *, namespace: str = "key-value", default_collection: str | None = None
    ) -> None:
        self.default_collection = default_collection or _DEFAULT_COLLECTION
        self._storage = storage
        self._namespace = check_namespace(namespace)

    async def get(self, key: str, *, collection: str | None = None) -> dict[str, Any] | None:
        """Returns the value of a key; None: there is none."""
        return _value_of(await self._storage.get(self._key(collection, key), touch=False))

    async def get_many(self, keys: Sequence[str], *, collection: str | None = None) -> list[dict[str, Any] | None]:
        """Returns the value of each key, in one statement."""
        return [_value_of(it) for it in await self._storage.get_many(self._keys(collection, keys), touch=False)]

    async def ttl(self, key: str, *, collection: str | None = None) -> tuple[dict[str, Any] | None, float | None]:
        """Returns the value of a key and the seconds until it expires (None: never); (None, None): no value."""
        return _lasting(await self._storage.get(self._key(collection, key)))

    async def ttl_many(
        self, keys: Sequence[str], *, collection: str | None = None
    ) -> list[tuple[dict[str, Any] | None, float | None]]:
        """Returns what ttl() returns for each key, in one statement."""
        return [_lasting(document) for document in await self._storage.get_many(self._keys(collection, keys))]

    async def put(
        self, key: str, value: Mapping[str, Any], *, collection: str | None = None, ttl: SupportsFloat | None = None
    ) -> None:
        """Stores a value for ``ttl`` seconds (None: for ever). Replaces the value that the key has.

        Raises:
            SerializationError: The value is no JSON.
            InvalidTTLError: The TTL is no number above zero.
        """
        await self._storage.set(self._draft(collection, key, value, _lifetime_of(ttl)), renew=True)

    async def put_many(
        self,
        keys: Sequence[str],
        values: Sequence[Mapping[str, Any]],
        *,
        collection: str | None = None,
        ttl: SupportsFloat | None = None,
    ) -> None:
        """Does what put() does for each key, in one statement. If a key comes twice, its last value is stored."""
        if len(keys) != len(values):
            raise ValueError(f"there must be one value for each key, but there are {len(keys)} and {len(values)}")
        lifetime = _lifetime_of(ttl)
        drafts = [self._draft(collection, key, value, lifetime) for key, value in zip(keys, values, strict=True)]
        await self._storage.set_many(drafts, renew=True)

    async def put_if_absent(
        self, key: str, value: Mapping[str, Any], *, collection: str | None = None, ttl: SupportsFloat | None = None
    ) -> bool:
        """Stores a value if the key has none, and returns whether it did. Exactly one of concurrent callers stores.

        Raises:
            SerializationError: As put().
            InvalidTTLError: As put().
        """
        return (await self._storage.create(self._draft(collection, key, value, _lifetime_of(ttl)))).created

    async def delete(self, key: str, *, collection: str | None = None) -> bool:
        """Deletes a key, and returns whether it was there."""
        return await self._storage.delete(self._key(collection, key))

    async def delete_many(self, keys: Sequence[str], *, collection: str | None = None) -> int:
        """Deletes the keys in one statement, and returns how many were there."""
        return sum(await self._storage.delete_many(self._keys(collection, keys)))

    async def keys(self, collection: str | None = None, *, limit: int | None = None) -> list[str]:
        """Lists the keys of a collection; without a limit (None or 0), all of them."""
        found: list[str] = []
        prefix = prefix_of(collection or self.default_collection)
        async for page in pages(partial(self._storage.list, self._namespace, prefix=prefix, limit=_PAGE)):
            found += [_names_of(summary)[1] for summary in page.sessions]
            if limit is not None and 0 < limit <= len(found):
                return found[:limit]
        return found

    async def collections(self, *, limit: int | None = None) -> list[str]:
        """Lists the collections that have keys, with one statement each; without a limit (None or 0), all of them."""
        found: list[str] = []
        after: Key | None = None
        while page := (await self._storage.list(self._namespace, limit=1, after=after)).sessions:
            found.append(_names_of(page[0])[0])
            if len(found) == limit:
                break
            after = Key(self._namespace, page[0].key.session_id.partition("/")[0] + _AFTER_SLASH)
        return found

    async def destroy_collection(self, collection: str) -> bool:
        """Deletes the keys of a collection, and returns whether there were any."""
        return await self._storage.clear(self._namespace, prefix=prefix_of(collection)) > 0

    async def destroy(self) -> bool:
        """Deletes the keys of all collections."""
        await self._storage.clear(self._namespace)
        return True

    async def cull(self) -> None:
        """Deletes the expired rows of the whole storage, as a Reaper does. Expired keys are absent even before that."""
        await Reaper(self._storage).run_once()

    def _key(self, collection: str | None, key: str) -> Key:
        return Key(self._namespace, joined(collection or self.default_collection, key))

    def _keys(self, collection: str | None, keys: Sequence[str]) -> list[Key]:
        return [self._key(collection, key) for key in keys]

    def _draft(self, collection: str | None, key: str, value: Mapping[str, Any], lifetime: timedelta | None) -> Draft:
        at = self._key(collection, key)
        origin = None
        if _CUT in at.session_id:
            origin = orjson.dumps({"name": whole(collection or self.default_collection, key)}).decode()
        state = orjson.dumps({"value": _text_of(value)}).decode()
        return Draft(at, state, ttl=None, max_lifetime=lifetime, origin=origin)


def _text_of(value: Mapping[str, Any]) -> str:
    """Returns the JSON text of a value. Writes other types as json.dumps() does, for example a tuple as an array."""
    if not isinstance(value, Mapping):
        raise TypeError(f"a value must be a mapping, not a {type(value).__name__}")
    document = dict(value)
    if not all(isinstance(name, str) for name in document):
        raise TypeError("a value must have strings as keys")
    try:
        return verbatim.dumps(document).decode()
    except Refused as refused:
        try:
            return json.dumps(document)
        except (TypeError, ValueError, RecursionError) as error:
            raise SerializationError(f"the value cannot be stored: {refused.path} {refused.reason}") from error


def _value_of(document: Document | None) -> dict[str, Any] | None:
    if document is None:
        return None
    try:
        text = orjson.loads(document.state)["value"]
        if not isinstance(text, str):
            raise TypeError(f"the text of a value is {named(type(text))}")
        try:
            value = verbatim.loads(text)
        except (ValueError, Refused):
            value = json.loads(text)  # the text holds NaN or an infinity, or is nested too deep for loads()
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DeserializationError("another program wrote to this key, or the stored value is damaged") from error
    if not isinstance(value, dict):
        raise DeserializationError("another program wrote to this key: it holds no mapping")
    return value


def _lasting(document: Document | None) -> tuple[dict[str, Any] | None, float | None]:
    if document is None:
        return None, None
    summary = document.summary
    # The read was an access, so last_accessed_at is the storage's time.
    left = None if summary.expires_at is None else summary.expires_at - summary.last_accessed_at
    return _value_of(document), None if left is None else left.total_seconds()


def _lifetime_of(ttl: SupportsFloat | None) -> timedelta | None:
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not hasattr(ttl, "__float__"):
        raise InvalidTTLError(ttl, {"type": type(ttl).__name__})
    seconds = float(ttl)
    if not 0 < seconds <= MAX_DURATION.total_seconds():
        raise InvalidTTLError(ttl)
    return max(timedelta(seconds=seconds), _MOMENT)


def _names_of(summary: Summary) -> Sequence[str]:
    """Returns the collection and the key of an entry."""
    name = summary.key.session_id if summary.origin is None else orjson.loads(summary.origin)["name"]
    return parts_of(name)

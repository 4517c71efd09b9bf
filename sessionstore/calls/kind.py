"""Kind: the base of the calls of a SessionManager, which all concern one kind of session in one storage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Generic, NamedTuple

from pydantic import JsonValue

from .. import arguments, results
from ..codec.items import ItemCodec
from ..codec.states import Codec
from ..ids import SessionId, check_session_id
from ..session import I, Item, SessionResult, T
from ..storage import Document, Draft, Key, NewItem, StorageProvider, StoredItem, Summary
from ..updates.loop import UpdateLoop


class Given(NamedTuple, Generic[I]):
    """The items that a caller gave, encoded.

    Attributes:
        texts: The items for the storage.
        copies: A copy of each item, for the result.
    """

    texts: Sequence[NewItem]
    copies: Sequence[I]

    def at(self, positions: Sequence[int | None], created_at: datetime) -> tuple[Item[I], ...]:
        """Returns the items that were appended, without those that were passed over.

        Args:
            positions: The position of each item; None: the item was passed over. Empty: the positions are not known.
            created_at: When the items were appended.
        """
        return tuple(
            [
                Item(position, copy, created_at)
                for position, copy in zip(positions, self.copies, strict=False)
                if position is not None
            ]
        )


class Kind(Generic[T, I]):
    """One kind of session: where it is kept, how states and items are encoded, and how long sessions live."""

    _storage: StorageProvider
    _namespace: str
    _default_state: Callable[[SessionId], T]
    _codec: Codec[T]
    _item_codec: ItemCodec[I]
    _encode_origin: Callable[[Mapping[str, JsonValue] | None, SessionId], str | None]
    _ttl: timedelta | None
    _max_lifetime: timedelta | None
    _idempotency_keys: int
    _keep_items: int | None
    _updates: UpdateLoop

    def _key(self, session_id: SessionId) -> Key:
        """Returns the key of a session.

        Raises:
            InvalidSessionIdError: The id breaks the rule.
        """
        return Key(self._namespace, check_session_id(session_id))

    def _given(
        self,
        items: Sequence[I],
        ids: Sequence[str | None] | None,
        log: str,
        session_id: SessionId,
        name: str = "items",
        *,
        only_new: bool = False,
    ) -> Given[I]:
        """Checks and encodes items.

        Raises:
            ConfigurationError: The arguments are invalid.
            InvalidStateError: An item cannot be stored; with its index.
        """
        log = arguments.log_name(log)
        texts: list[NewItem] = []
        copies: list[I] = []
        for index, item, item_id in arguments.new_items(items, ids, name):
            text, copy = self._item_codec.encode_with_copy(item, index, session_id)
            texts.append(NewItem(text, item_id, log, self._item_codec.version, only_new))
            copies.append(copy)
        return Given(texts, copies)

    def _draft(
        self,
        session_id: SessionId,
        state: T,
        *,
        ttl: timedelta | None,
        origin: Mapping[str, JsonValue] | None,
        owner_id: str | None,
        items: Sequence[NewItem],
    ) -> Draft:
        """Returns a session to create.

        Raises:
            InvalidStateError: The state, the origin or the owner cannot be stored.
        """
        return Draft(
            key=Key(self._namespace, session_id),
            state=self._codec.encode(state, session_id),
            ttl=ttl,
            max_lifetime=self._max_lifetime,
            origin=self._encode_origin(origin, session_id),
            owner_id=arguments.owner_of_new(owner_id, session_id),
            items=items,
            keep=self._keep_items if items else None,
            state_version=self._codec.version,
        )

    def _items(self, stored: Sequence[StoredItem], session_id: SessionId) -> tuple[Item[I], ...]:
        """Decodes stored items.

        Raises:
            CorruptStateError: An item does not fit the item type; with its position.
        """
        if not stored:
            return ()
        positions, texts, times, versions = zip(*stored, strict=True)
        items = self._item_codec.decode_all(texts, positions, session_id, versions)
        return tuple(map(Item, positions, items, times))

    def _state(self, document: Document) -> T:
        """Decodes the state of a document.

        Raises:
            CorruptStateError: The state does not fit the state type.
        """
        return self._codec.decode(document.state, document.summary.key.session_id, document.state_version)

    def _of_items(self, summary: Summary, stored: Sequence[StoredItem]) -> SessionResult[None, I]:
        """Returns the result of a call that read items. It is a failure if an item does not fit the item type."""
        return results.read(summary, lambda: (None, self._items(stored, summary.key.session_id)))

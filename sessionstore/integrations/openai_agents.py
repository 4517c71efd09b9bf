"""OpenAI Agents SDK: `StoredSession` keeps the history of a conversation, behind the SDK's `Session` protocol."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, cast

from ..errors import (
    ConfigurationError,
    CorruptStateError,
    InvalidStateError,
    SessionNotFoundError,
    SessionOwnerError,
)
from ..manager import DEFAULT_TTL, SessionManager
from ..session import Item, SessionResult
from ..storage import StorageProvider
from .keys import joined
from .missing import missing_extra
from .settled import settled
from .suffix import Suffix, done, found

try:
    from agents.items import TResponseInputItem
    from agents.memory import SessionABC, SessionSettings
    from agents.memory.session_settings import coerce_session_settings, resolve_session_limit
except ModuleNotFoundError as error:
    raise missing_extra("openai-agents", error) from error

DEFAULT_MAX_ITEM_BYTES: Final = 67_108_864

_ALL: Final = 2**31 - 1


@dataclass(frozen=True)
class _Snapshot:
    """The newest items, and a way to replace the last of them, for the SDK's compaction."""

    items: list[TResponseInputItem]
    complete: bool
    replace_suffix: Callable[[int, list[TResponseInputItem]], Awaitable[bool]]


class StoredSession(SessionABC):
    """The history of one conversation, as items of one session of the storage.

    Objects are cheap, and keep nothing of the history: make one for each run. Any number of them, in any number of
    processes, may use one conversation at once. The items of one call stay next to each other, and a popped item goes
    to one caller. A change that has begun is completed, even if its task is cancelled. Then the cancellation is raised.

    The first item creates the conversation. After the conversation has expired, the next item creates a new one.

    Args:
        session_id: The id of the conversation: any text.
        storage: Where the conversation is kept; the caller closes the storage.
        namespace: Separates these conversations from others that use the same ids.
        ttl: How long the conversation lives after an access; None: for ever. If the argument is missing,
            ``SESSION_TTL_SECONDS`` decides, then 30 minutes. A conversation keeps the TTL that it was created with.
        session_settings: Its ``limit`` is the number of items that ``get_items()`` reads by default.
        owner_id: The owner of the conversation, for example a user or a tenant. The conversation of another owner seems
            empty, and takes no items. None: any conversation; a new one has no owner.
        max_item_bytes: The longest accepted item, as JSON in UTF-8. Images in messages are long.

    Raises:
        ConfigurationError: The id is no string, or the namespace, the TTL or the size is invalid.
    """

    def __init__(
        self,
        session_id: str,
        storage: StorageProvider,
        *,
        namespace: str = "openai-agents",
        ttl: timedelta | None = DEFAULT_TTL,
        session_settings: SessionSettings | dict[str, Any] | None = None,
        owner_id: str | None = None,
        max_item_bytes: int = DEFAULT_MAX_ITEM_BYTES,
    ) -> None:
        for name, given in {"session_id": session_id, "owner_id": "" if owner_id is None else owner_id}.items():
            if not isinstance(given, str):
                raise ConfigurationError(f"{name} must be a string, not {type(given).__name__}")
        self.session_id = session_id
        self.session_settings = coerce_session_settings({} if session_settings is None else session_settings)
        self._owner_id = None if owner_id is None else joined(owner_id)

        def manager(keep_items: int | None) -> SessionManager[dict[str, Any], Any]:
            return SessionManager(
                _no_state, storage, namespace, ttl=ttl, max_item_bytes=max_item_bytes, keep_items=keep_items
            )

        self._manager = manager
        self._chats = manager(None)

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Reads the newest items, oldest first, in one statement. A conversation that does not exist has no items.

        Args:
            limit: How many; None: as many as ``session_settings`` say, or else all; negative: all.

        Raises:
            CorruptStateError: Another program wrote an item, and it is no JSON.
            StorageError: The storage failed.
        """
        limit = resolve_session_limit(limit, self.session_settings)
        # A negative limit reads all items, as in the SDK's SQLite stores.
        return [] if limit == 0 else _data(found(await self._newest(_ALL if limit is None or limit < 0 else limit)))

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Appends items, all or none, next to each other. Creates the conversation if there is none.

        Raises:
            SessionOwnerError: The conversation belongs to another owner.
            InvalidStateError: An item is no JSON. The error names its index and path. Nothing was written.
            StorageError: The storage failed. After a lost connection, the items were appended once or not at all.
        """
        if items:
            await settled(self._add(list(items)))

    async def pop_item(self) -> TResponseInputItem | None:
        """Removes and returns the newest item; None: there is none. Concurrent callers get different items.

        Raises:
            StorageError: The storage failed.
        """
        return await settled(self._pop())

    async def clear_session(self) -> None:
        """Deletes the conversation with all its items.

        Raises:
            StorageError: The storage failed.
        """
        await settled(self._clear())

    async def _newest(self, limit: int) -> SessionResult[None, Any]:
        return await self._chats.get_items(self._key, last=min(limit, _ALL), owner_id=self._owner_id)

    async def _add(self, items: list[Any]) -> None:
        added = await self._append(items)
        if isinstance(added.error, InvalidStateError):
            # The SDK's own stores accept all that json.dumps() accepts: tuples, members of a str enum, numbers as keys.
            try:
                items = json.loads(json.dumps(items))
            except (TypeError, ValueError, RecursionError):
                raise added.error from None
            added = await self._append(items)
        if isinstance(added.error, SessionNotFoundError):
            raise SessionOwnerError(self.session_id) from added.error
        added.unwrap()

    async def _append(self, items: Sequence[Any]) -> SessionResult[None, Any]:
        return await self._chats.append_items(self._key, items, create=True, owner_id=self._owner_id)

    async def _pop(self) -> TResponseInputItem | None:
        while True:
            popped = await self._chats.pop_items(self._key, owner_id=self._owner_id)
            if not isinstance(popped.error, CorruptStateError):
                return next(iter(_data(found(popped))), None)

    async def _clear(self) -> None:
        (await self._chats.delete_session(self._key, owner_id=self._owner_id)).unwrap()

    @property
    def _key(self) -> str:
        return joined(self.session_id)

    # To compact a history, the SDK calls the next two methods by name (OpenAIResponsesCompactionSession).

    async def _get_compaction_snapshot(
        self, limit: int, *, prune_prefix: Callable[[TResponseInputItem], bool] | None = None
    ) -> _Snapshot | None:
        """Reads the newest items. The last of them can then be replaced atomically, if they have not changed.

        Args:
            limit: How many items.
            prune_prefix: Tells whether to remove an old item with the replacement. Removal stops at the first False.
        """
        if not self._is_plain():
            return None
        read = await self._newest(limit)
        seen = found(read)

        async def replace_suffix(start: int, output: list[TResponseInputItem]) -> bool:
            suffix = Suffix(self._manager, self._key, self._owner_id)
            return await settled(suffix.replace(read, start, output, prune_prefix))

        return _Snapshot(_data(seen), len(seen) == (read.item_count or 0), replace_suffix)

    async def _atomic_replace_items(self, items: list[TResponseInputItem]) -> bool:
        """Replaces all items at once. False: there is no conversation, or a subclass stores items its own way."""
        if not self._is_plain():
            return False
        replacing = self._chats.replace_items(self._key, items, owner_id=self._owner_id)
        return done(await settled(replacing))

    def _is_plain(self) -> bool:
        """Whether no subclass overrides reads or writes of items. A replacement would bypass such methods."""
        own = ("get_items", "add_items", "pop_item", "clear_session")
        return all(getattr(type(self), name) is getattr(StoredSession, name) for name in own)


def _data(items: Sequence[Item[Any]]) -> list[TResponseInputItem]:
    return [cast(TResponseInputItem, item.data) for item in items]


def _no_state(session_id: str) -> dict[str, Any]:
    return {}

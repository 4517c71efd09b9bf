"""SessionManager: creates, gets, updates and deletes sessions by id, and their items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Final

from pydantic import TypeAdapter

from . import arguments, config, results
from .calls.appending import Appending
from .calls.editing import Editing
from .calls.erasure import Erasure
from .calls.listing import Listing
from .calls.reading import Reading
from .calls.reshaping import Upgrading
from .codec.facts import encode_origin
from .codec.items import ItemCodec
from .codec.states import Codec, UnstorableText
from .codec.upgrades import Upgrade
from .errors import InvalidSessionIdError, InvalidStateError, SessionConflictError, SessionNotFoundError
from .ids import SessionId, check_namespace, started_at
from .session import I, SessionResult, T
from .storage import StorageProvider
from .storage.memory import MemoryStorageProvider
from .timeouts import time_left
from .updates.change import Change
from .updates.loop import UpdateLoop
from .updates.replacement import ReplaceState
from .updates.request import AlreadyApplied

DEFAULT_TTL: Final = timedelta(minutes=30)
DEFAULT_MAX_STATE_BYTES: Final = 1_048_576
DEFAULT_MAX_ITEM_BYTES: Final = 1_048_576
DEFAULT_IDEMPOTENCY_KEYS: Final = 64


class SessionManager(Appending[T, I], Reading[T, I], Editing[T, I], Listing[T, I], Erasure[T, I], Upgrading[T, I]):
    """Keeps the states and the items of one kind of session.

    A state is small and is written anew at each update. Items are JSON values in the order in which they were appended,
    say the messages of a conversation. A turn costs the same however many there are.

    An absent session, a conflict, a bad id or a bad state is an ``error`` in the result. A fault of the storage is
    raised as StorageError or SchemaError, so that an outage never reads as a missing session.

    Args:
        default_state: Makes the state of a new session from its id. Is also called if the session turns out to exist.
        storage: Where sessions are kept; the caller closes it. None: a new MemoryStorageProvider.
        namespace: Separates this kind of session from others that use the same ids. The rule for ids applies.
        state_type: Any type that pydantic's TypeAdapter takes, or a TypeAdapter. None: states are plain JSON values.
        item_type: The same for items. Plain JSON values are kept verbatim, with the order of their keys.
            The type may name types that are defined later; a call that comes before raises ConfigurationError.
        ttl: How long a session lives after an access; None: it does not expire by inactivity. If the argument is
            missing, ``SESSION_TTL_SECONDS`` decides, then 30 minutes.
        max_lifetime: How long a session lives at most, however often it is accessed; None: no limit. A session keeps
            the limit that it was created with.
        max_state_bytes: The longest accepted state, as JSON in UTF-8. The same limit applies to an origin.
        max_item_bytes: The longest accepted item, as JSON in UTF-8.
        keep_items: How many items each log keeps; None: all. Each append, also of an update, and each replacement of
            items removes the oldest items beyond this number from its log.
        idempotency_keys: How many idempotency keys a session remembers, the newest first, for as long as it lives.
            Each key takes 12 bytes of the row.
        unstorable_text: What to do with NUL characters and lone surrogates (half an emoji) in a state or an origin. No
            storage can keep them. "refuse": an InvalidStateError with the path. "replace": U+FFFD takes the place of
            each, and the result shows the new text; two keys that would become equal are still refused.
        state_version: The version of the shape of the states, from 1. Raise it with each change that older code cannot
            read. A state of a later version is refused with CorruptStateError, and nothing is written.
        upgrades: For each earlier version, a plain function that makes a state of the next one: ``{1: f, 2: g}`` for
            ``state_version=3``. It gets the state as JSON values, before ``state_type`` sees it, and returns the new
            one, or None if it changed the given one in place. A state is upgraded when it is read, and written in the
            new shape by its next update.
        item_version: The same for items.
        item_upgrades: The same for items. An item is written in the new shape only by `sessionstore migrate states`.

    Raises:
        ConfigurationError: A namespace, duration, size, type, version, upgrade or choice is invalid.
    """

    def __init__(
        self,
        default_state: Callable[[SessionId], T],
        storage: StorageProvider | None = None,
        namespace: str = "sessions",
        *,
        state_type: type[T] | TypeAdapter[T] | None = None,
        item_type: type[I] | TypeAdapter[I] | None = None,
        ttl: timedelta | None = DEFAULT_TTL,
        max_lifetime: timedelta | None = None,
        max_state_bytes: int = DEFAULT_MAX_STATE_BYTES,
        max_item_bytes: int = DEFAULT_MAX_ITEM_BYTES,
        keep_items: int | None = None,
        idempotency_keys: int = DEFAULT_IDEMPOTENCY_KEYS,
        unstorable_text: UnstorableText = "refuse",
        state_version: int = 1,
        upgrades: Mapping[int, Upgrade] | None = None,
        item_version: int = 1,
        item_upgrades: Mapping[int, Upgrade] | None = None,
    ) -> None:
        arguments.check_settings(max_state_bytes, max_item_bytes, idempotency_keys, keep_items, unstorable_text)
        self._default_state = default_state
        self._storage = MemoryStorageProvider() if storage is None else storage
        arguments.check_storage(self._storage)
        self._namespace = check_namespace(namespace)
        self._codec: Codec[T] = Codec(state_type, max_state_bytes, unstorable_text, state_version, upgrades)
        self._item_codec: ItemCodec[I] = ItemCodec(item_type, max_item_bytes, item_version, item_upgrades)
        self._encode_origin = partial(encode_origin, max_bytes=max_state_bytes, replaces=unstorable_text == "replace")
        # Compared by identity, so that the environment replaces only the default and not an explicit 30 minutes.
        self._ttl = config.session_ttl(ttl) if ttl is DEFAULT_TTL else config.check_duration(ttl, "ttl")
        self._max_lifetime = config.check_duration(max_lifetime, "max_lifetime")
        self._idempotency_keys = idempotency_keys
        self._keep_items = keep_items
        self._updates = UpdateLoop.of(self._storage)

    async def update_session(
        self,
        session_id: SessionId,
        update_fn: Callable[[T], T | ReplaceState[T] | None],
        *,
        append: Sequence[I] = (),
        ids: Sequence[str | None] | None = None,
        only_new: bool = False,
        log: str = "",
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        owner_id: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109  # as in all calls, see concurrency/deadline.py
    ) -> SessionResult[T, I]:
        """Changes a session's state, and appends items with it; no update is ever lost.

        Reads the state, applies the function, and writes the new state under the version that was read (an optimistic
        lock). If another caller wrote in between, reads and applies again, with backoff. An update is an access.

        If the connection is lost during the write, the call looks on another connection whether the write landed, and
        applies the update again if it did not. An update is never applied twice.

        Args:
            session_id: The id.
            update_fn: A plain function. It gets a copy of the state and returns the new state, or None if it changed
                the copy. It may run more than once and must have no side effects. A lambda may return a value by
                accident, as ``lambda state: state["items"].pop()`` does. If the state is an object or an array, a
                returned value of another type or a returned part of the state is refused; return ReplaceState(value)
                to make it the state.
            append: Items that land with the state or not at all.
            ids: The ids of the items, as in append_items().
            only_new: What happens if the session has one of the ids already. False: that item is passed over, and the
                rest of the update lands. True: nothing lands, and the error in the result is a SessionConflictError. So
                a state that counts the items, say, is not changed by an item that is delivered again.
            log: The log that the items are appended to.
            expected_version: Write only if the session is at this version. A version from before a session expired or
                was deleted never matches a later session of the same id.
            idempotency_key: Identifies this update within the session, say the id of the message that it answers. If
                an update with the key has landed, from any process, ``update_fn`` is not called, and the result has
                the current state and ``applied`` False. The rule for ids applies. A session remembers its newest
                ``idempotency_keys`` keys for as long as it lives.
            owner_id: Only this owner's session is found, and no other is accessed. None: any session.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The new state, and as ``result.items`` the new items, without those that were passed over. If the answer
            was lost, and the positions of the landed items can no longer be found out, ``result.items`` is empty. Or an
            error in the result: SessionNotFoundError, SessionConflictError (only with ``expected_version`` or
            ``only_new``), InvalidSessionIdError, InvalidStateError (the new state, or an item with its index) or
            CorruptStateError (the stored state). With an error, nothing was written.

        Raises:
            Exception: What ``update_fn`` raises, unchanged; nothing was written.
            TypeError: ``update_fn`` is a coroutine function.
            ConfigurationError: An argument is invalid.
            StorageError: The storage failed. UpdateOutcomeUnknownError: it is unknown whether the write landed. Either
                the connection was lost during the write, and the storage did not come back within 10 seconds, or 16
                other writes followed, or the session is gone. Or the ``timeout`` was over during the write.
        """
        change = Change(update_fn, self._codec, session_id)
        arguments.check_idempotency_key(idempotency_key)
        arguments.check_expected_version(expected_version)
        owner = arguments.owner_filter(owner_id)
        left = config.check_duration(timeout, "timeout")
        began = monotonic()
        try:
            key = self._key(session_id)
            given = self._given(append, ids, log, key.session_id, "append", only_new=only_new)
        except (InvalidSessionIdError, InvalidStateError) as error:
            return results.failure(session_id, error)
        while True:
            try:
                updated = await self._updates.run(
                    key,
                    change,
                    expected_version=expected_version,
                    idempotency_key=idempotency_key,
                    keys=self._idempotency_keys,
                    items=given.texts,
                    keep=self._keep_items,
                    **owner,
                    timeout=left,
                )
            except AlreadyApplied as seen:
                left = time_left(timeout, began)
                found = await self.get_session(session_id, owner_id=owner_id, timeout=left)
                if found.version is None or started_at(found.version, seen.version):
                    return found
                # The session has ended since, and the later session of the same id has not seen the key.
                left = time_left(timeout, began)
            except (InvalidStateError, SessionNotFoundError, SessionConflictError) as error:
                if any(error is raised for raised in change.raised):
                    raise
                return results.failure(session_id, error)
            else:
                summary = updated.summary
                items = given.at(updated.positions, summary.updated_at) if given.texts else ()
                return results.success(summary, updated.state, items, applied=True)

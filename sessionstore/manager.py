"""SessionManager: creates, gets, updates and deletes sessions by id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from time import monotonic
from types import EllipsisType
from typing import Final, Generic, TypeVar

from pydantic import JsonValue, TypeAdapter

from . import arguments, config, results
from .codec.facts import encode_origin
from .codec.states import Codec, UnstorableText
from .erasure import Erasure
from .errors import (
    InvalidSessionIdError,
    InvalidStateError,
    SessionConflictError,
    SessionNotFoundError,
    SessionOwnerError,
)
from .ids import SessionId, check_namespace, check_session_id, new_session_id
from .session import SessionResult
from .storage import Draft, Key, StorageProvider, owned
from .storage.memory import MemoryStorageProvider
from .timeouts import in_time, time_left
from .updates.change import Change
from .updates.loop import UpdateLoop
from .updates.replacement import ReplaceState
from .updates.request import AlreadyApplied

T = TypeVar("T")

DEFAULT_TTL: Final = timedelta(minutes=30)
DEFAULT_MAX_STATE_BYTES: Final = 1_048_576
DEFAULT_IDEMPOTENCY_KEYS: Final = 64


class SessionManager(Erasure, Generic[T]):
    """Keeps the states of one kind of session.

    An absent session, a conflict, a bad id or a bad state is an ``error`` in the result. A fault of the storage is
    raised as StorageError or SchemaError, so that an outage never reads as a missing session.

    Args:
        default_state: Makes the state of a new session from its id. Is also called if the session turns out to exist.
        storage: Where sessions are kept; the caller closes it. None: a new MemoryStorageProvider.
        namespace: Separates this kind of state from others that use the same ids. The rule for ids applies.
        state_type: Any type that pydantic's TypeAdapter takes, or a TypeAdapter. None: states are plain JSON values.
            The type may name types that are defined later; a call that comes before raises ConfigurationError.
        ttl: How long a session lives after an access; None: it does not expire by inactivity. If the argument is
            missing, ``SESSION_TTL_SECONDS`` decides, then 30 minutes.
        max_lifetime: How long a session lives at most, however often it is accessed; None: no limit. A session keeps
            the limit that it was created with.
        max_state_bytes: The longest accepted state, as JSON in UTF-8. The same limit applies to an origin.
        idempotency_keys: How many idempotency keys a session remembers, the newest first, for as long as it lives.
            Each key takes 12 bytes of the row.
        unstorable_text: What to do with NUL characters and lone surrogates (half an emoji) in a state or an origin. No
            storage can keep them. "refuse": an InvalidStateError with the path. "replace": U+FFFD takes the place of
            each, and the result shows the new text; two keys that would become equal are still refused.

    Raises:
        ConfigurationError: A namespace, duration, size, type or choice is invalid.
    """

    def __init__(
        self,
        default_state: Callable[[SessionId], T],
        storage: StorageProvider | None = None,
        namespace: str = "sessions",
        *,
        state_type: type[T] | TypeAdapter[T] | None = None,
        ttl: timedelta | None = DEFAULT_TTL,
        max_lifetime: timedelta | None = None,
        max_state_bytes: int = DEFAULT_MAX_STATE_BYTES,
        idempotency_keys: int = DEFAULT_IDEMPOTENCY_KEYS,
        unstorable_text: UnstorableText = "refuse",
    ) -> None:
        arguments.check_settings(max_state_bytes, idempotency_keys, unstorable_text)
        self._default_state = default_state
        self._storage = MemoryStorageProvider() if storage is None else storage
        self._namespace = check_namespace(namespace)
        self._codec: Codec[T] = Codec(state_type, max_state_bytes, unstorable_text)
        self._encode_origin = partial(encode_origin, max_bytes=max_state_bytes, replaces=unstorable_text == "replace")
        # Compared by identity: only the default yields to the environment, an explicit 30 minutes does not.
        self._ttl = config.session_ttl(ttl) if ttl is DEFAULT_TTL else config.check_duration(ttl, "ttl")
        self._max_lifetime = config.check_duration(max_lifetime, "max_lifetime")
        self._idempotency_keys = idempotency_keys
        self._updates = UpdateLoop.of(self._storage)

    async def create_session(
        self,
        session_id: SessionId | None = None,
        *,
        origin: Mapping[str, JsonValue] | None = None,
        owner_id: str | None = None,
        ttl: timedelta | None | EllipsisType = ...,
        timeout: timedelta | None = None,  # noqa: ASYNC109  # as in all calls, see deadline.py
    ) -> SessionResult[T]:
        """Creates a session, or finds the live session that has this id; ``result.created`` says which.

        A new session replaces an expired one of the same id. If several callers race, exactly one creates the session
        and the others find it. Finding a session is an access; its origin, owner and TTL stay as they are.

        If the connection is lost during the write, the call looks on another connection whether it created the
        session, and creates it if it did not.

        Args:
            session_id: The id; None: a new one from the operating system's random source.
            origin: Where the session comes from: a JSON object.
            owner_id: The owner. The rule for ids applies. If ids come from outside, pass the owner to the other calls
                too: an id does not prove who is asking.
            ttl: This session's own time to live, kept with the session. ``...``: the manager's.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The session, or an error in the result: InvalidSessionIdError, InvalidStateError (state, origin or owner),
            or SessionOwnerError. The last one needs an ``owner_id``: a live session with another owner, or without
            one, has this id; nothing of that session is shown, and the session was not accessed.

        Raises:
            ConfigurationError: ``ttl`` or ``timeout`` is not positive.
            Exception: What ``default_state`` raises, unchanged; nothing was written.
            StorageError: The storage failed. UpdateOutcomeUnknownError: it is unknown whether the session exists.
        """
        own_ttl = self._ttl if isinstance(ttl, EllipsisType) else config.check_duration(ttl, "ttl")
        try:
            name = new_session_id() if session_id is None else check_session_id(session_id)
        except InvalidSessionIdError as error:
            return results.failure(session_id, error)
        state = self._default_state(name)
        try:
            draft = Draft(
                key=Key(self._namespace, name),
                state=self._codec.encode(state, name),
                ttl=own_ttl,
                max_lifetime=self._max_lifetime,
                origin=self._encode_origin(origin, name),
                owner_id=arguments.owner_of_new(owner_id, name),
            )
        except InvalidStateError as error:
            return results.failure(name, error)
        creation = await in_time(timeout, self._storage.create(draft), writing=True)
        if not creation.created and owned(creation.document, draft.owner_id) is None:
            return results.failure(name, SessionOwnerError(name))
        return results.found(self._codec, creation.document, created=creation.created)

    async def get_session(
        self,
        session_id: SessionId,
        *,
        touch: bool = True,
        owner_id: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109
    ) -> SessionResult[T]:
        """Reads a session.

        Args:
            session_id: The id.
            touch: Whether the read is an access, which moves the expiry. Neither kind of read changes the version. If
                another transaction holds the row, the read is answered at once, and the expiry is moved afterwards.
            owner_id: Only this owner's session is found, and no other is accessed. None: any session.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The session, or an error in the result: SessionNotFoundError (absent or expired), InvalidSessionIdError, or
            CorruptStateError (the stored state does not fit the state type).

        Raises:
            ConfigurationError: ``owner_id`` or ``timeout`` is invalid.
            StorageError: The storage failed.
        """
        owner = arguments.owner_filter(owner_id)
        try:
            key = Key(self._namespace, check_session_id(session_id))
        except InvalidSessionIdError as error:
            return results.failure(session_id, error)
        document = await in_time(timeout, self._storage.get(key, touch=touch, **owner), writing=False)
        if document is None:
            return results.failure(key.session_id, SessionNotFoundError(key.session_id))
        return results.found(self._codec, document)

    async def update_session(
        self,
        session_id: SessionId,
        update_fn: Callable[[T], T | ReplaceState[T] | None],
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        owner_id: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109
    ) -> SessionResult[T]:
        """Changes a session's state; no update is ever lost.

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
            expected_version: Write only if the session is at this version. A version from before a session expired or
                was deleted never matches a later session of the same id.
            idempotency_key: Identifies this update within the session, say the id of the message that it answers. If
                an update with the key has landed, from any process, ``update_fn`` is not called, and the result has
                the current state and ``applied`` False. The rule for ids applies. A session remembers its newest
                ``idempotency_keys`` keys for as long as it lives.
            owner_id: Only this owner's session is found, and no other is accessed. None: any session.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The new state, or an error in the result: SessionNotFoundError, SessionConflictError (only with
            ``expected_version``), InvalidSessionIdError, InvalidStateError (the new state) or CorruptStateError (the
            stored state). With an error, nothing was written.

        Raises:
            Exception: What ``update_fn`` raises, unchanged; nothing was written.
            TypeError: ``update_fn`` is a coroutine function.
            ConfigurationError: ``expected_version``, ``idempotency_key``, ``owner_id`` or ``timeout`` is invalid.
            StorageError: The storage failed. UpdateOutcomeUnknownError: it is unknown whether the write landed. The
                connection was lost during the write, and the storage did not come back within 10 seconds, or 16 other
                writes followed, or the session is gone; or the ``timeout`` was over during the write.
        """
        change = Change(update_fn, self._codec, session_id)
        arguments.check_idempotency_key(idempotency_key)
        arguments.check_expected_version(expected_version)
        owner = arguments.owner_filter(owner_id)
        began = monotonic()
        try:
            key = Key(self._namespace, check_session_id(session_id))
            updated = await self._updates.run(
                key,
                change,
                expected_version=expected_version,
                idempotency_key=idempotency_key,
                keys=self._idempotency_keys,
                **owner,
                timeout=config.check_duration(timeout, "timeout"),
            )
        except AlreadyApplied:
            return await self.get_session(session_id, owner_id=owner_id, timeout=time_left(timeout, began))
        except (InvalidSessionIdError, InvalidStateError, SessionNotFoundError, SessionConflictError) as error:
            if any(error is raised for raised in change.raised):
                raise
            return results.failure(session_id, error)
        return results.success(updated.summary, updated.state, applied=True)

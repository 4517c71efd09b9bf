"""The front desk: creates, gets, updates and deletes sessions by id."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from functools import partial
from time import monotonic
from types import EllipsisType
from typing import Any, Final, Generic, TypeVar, get_args

from pydantic import JsonValue, TypeAdapter

from . import config
from .codec.facts import encode_origin, metadata_of
from .codec.jsontext import named
from .codec.states import Codec, UnstorableText
from .concurrency.deadline import within
from .concurrency.sent import Sent, noting
from .errors import (
    ConfigurationError,
    CorruptStateError,
    InvalidSessionIdError,
    InvalidStateError,
    SessionConflictError,
    SessionNotFoundError,
    SessionOwnerError,
)
from .ids import SessionId, Version, check_namespace, check_session_id, fault_of, new_session_id, plain_text
from .session import SessionMetadata, SessionResult
from .storage import Document, Draft, Key, StorageProvider, Summary, owned
from .storage.memory import MemoryStorageProvider
from .updates.change import Change
from .updates.loop import UpdateLoop
from .updates.replacement import ReplaceState
from .updates.request import AlreadyApplied

T = TypeVar("T")
R = TypeVar("R")

DEFAULT_TTL: Final = timedelta(minutes=30)
DEFAULT_MAX_STATE_BYTES: Final = 1_048_576
_MOST_STATE_BYTES: Final = 268_435_455
"""Of an object or an array in PostgreSQL's jsonb. Beyond, the server works for half a minute before it refuses."""
DEFAULT_IDEMPOTENCY_KEYS: Final = 64

_MOST_KEYS: Final = 4096
_MOMENT: Final = 1e-6
"""The shortest time that a call may be given."""


class SessionManager(Generic[T]):
    """Keeps the states of one kind of session, and keeps sessions apart.

    A result speaks of the session: an absent one, a conflict, a bad id or a bad state is an ``error`` in it. A fault of
    the storage is raised as StorageError or SchemaError, so that an outage never reads as a missing session.

    Args:
        default_state: Makes the state of a new session from its id. May be called for a session that then turns out
            to exist.
        storage: Where sessions are kept; the caller closes it. None: a fresh MemoryStorageProvider.
        namespace: Keeps this kind of state apart from others under the same ids. The same rule as for ids.
        state_type: None: states are what JSON gives. Else any type that pydantic's TypeAdapter takes, or one.
        ttl: How long a session lives after an access; None: it does not expire by inactivity. Where it is not
            given, ``SESSION_TTL_SECONDS`` decides, then 30 minutes.
        max_lifetime: How long a session lives at most, however active; None: no limit. Kept with each session
            when it is created.
        max_state_bytes: The longest state that is accepted, as JSON in UTF-8. The same limit holds for an origin.
        idempotency_keys: How many idempotency keys a session remembers: those of its last so many updates that had one,
            for as long as it lives. Each takes 12 bytes of its row.
        unstorable_text: What becomes of NUL characters and lone surrogates (half an emoji) in the texts and keys of
            a state or an origin, which no storage can keep. "refuse": an InvalidStateError with the path. "replace":
            U+FFFD takes the place of each, and the result shows it; only two keys that would become one are refused.

    Raises:
        ConfigurationError: A namespace, duration, size, type or choice that cannot work.
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
        for name, count in (("max_state_bytes", max_state_bytes), ("idempotency_keys", idempotency_keys)):
            if type(count) is not int:
                raise ConfigurationError(f"{name} must be a whole number, not {type(count).__name__}")
        if max_state_bytes < 1:
            raise ConfigurationError(f"max_state_bytes must be positive, not {max_state_bytes}")
        if max_state_bytes > _MOST_STATE_BYTES:
            raise ConfigurationError(
                f"max_state_bytes must be at most {_MOST_STATE_BYTES:,}, which is what PostgreSQL's jsonb holds, not "
                f"{max_state_bytes:,}"
            )
        if not 1 <= idempotency_keys <= _MOST_KEYS:
            raise ConfigurationError(f"idempotency_keys must be from 1 to {_MOST_KEYS}, not {idempotency_keys}")
        if unstorable_text not in get_args(UnstorableText):
            raise ConfigurationError(f'unstorable_text must be "refuse" or "replace", not {unstorable_text!a}')
        self._default_state = default_state
        self._storage = MemoryStorageProvider() if storage is None else storage
        self._namespace = check_namespace(namespace)
        self._codec: Codec[T] = Codec(state_type, max_state_bytes, unstorable_text)
        self._encode_origin = partial(encode_origin, max_bytes=max_state_bytes, replaces=unstorable_text == "replace")
        # By identity: only a default gives way to the environment, not a caller who also says 30 minutes.
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
        """Creates a session, or finds the live one that has this id; ``result.created`` tells which.

        An expired session of the same id is replaced by a wholly new one. Of any number of racing callers exactly one
        creates, and the others find its session. Finding is an access; origin, owner and TTL of the one found stay.

        Args:
            session_id: None: a new one, from the operating system's random source.
            origin: Where the session comes from: a JSON object, kept as it is.
            owner_id: Whose it is. The same rule as for ids. Give it to the other calls too, where the id comes from
                outside: an id alone does not tell who asks.
            ttl: This session's own time to live, which later accesses extend by. ``...``: the manager's.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The session, or InvalidSessionIdError or InvalidStateError in the result, or SessionOwnerError: with an
            ``owner_id``, where a live session of another owner, or of none, has this id. Nothing of that session is
            shown, and it was not accessed. If a connection is lost while creating, another one tells whether this
            call created it, and it is created if not.

        Raises:
            ConfigurationError: A ``ttl`` or ``timeout`` that is not positive.
            Exception: What ``default_state`` raises, unchanged; nothing was written.
            StorageError: The storage could not do it. UpdateOutcomeUnknownError: whether the session exists now is
                not known.
        """
        own_ttl = self._ttl if isinstance(ttl, EllipsisType) else config.check_duration(ttl, "ttl")
        try:
            name = new_session_id() if session_id is None else check_session_id(session_id)
        except InvalidSessionIdError as error:
            return SessionResult(_named(session_id), success=False, error=error)
        state = self._default_state(name)
        try:
            draft = Draft(
                key=Key(self._namespace, name),
                state=self._codec.encode(state, name),
                ttl=own_ttl,
                max_lifetime=self._max_lifetime,
                origin=self._encode_origin(origin, name),
                owner_id=_check_owner(owner_id, name),
            )
        except InvalidStateError as error:
            return SessionResult(name, success=False, error=error)
        creation = await _in_time(timeout, self._storage.create(draft), writing=True)
        if not creation.created and owned(creation.document, draft.owner_id) is None:
            return SessionResult(name, success=False, error=SessionOwnerError(name))
        return self._result(creation.document, created=creation.created)

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
            session_id: Which one.
            touch: A read is an access and slides the expiry; False: only look. Neither changes the version. Where
                another transaction holds the row, the read is answered at once and the expiry moved later.
            owner_id: Whose session it has to be: that of another owner, or of none, is not found, and this is no
                access of it. None: anybody's.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The session, or in the result SessionNotFoundError (absent or expired), InvalidSessionIdError, or
            CorruptStateError (what is stored does not fit the state type).

        Raises:
            ConfigurationError: An ``owner_id`` or a ``timeout`` that cannot be one.
            StorageError: The storage could not be asked.
        """
        owner = _owner(owner_id)
        try:
            key = Key(self._namespace, check_session_id(session_id))
        except InvalidSessionIdError as error:
            return SessionResult(_named(session_id), success=False, error=error)
        document = await _in_time(timeout, self._storage.get(key, touch=touch, **owner), writing=False)
        if document is None:
            return SessionResult(key.session_id, success=False, error=SessionNotFoundError(key.session_id))
        return self._result(document)

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

        Reads the state, applies the function, and writes the outcome if nobody else wrote meanwhile; else reads
        and applies again, until it lands. An update is an access.

        If a connection is lost while writing, another one tells what became of the write: it landed, or it is applied
        again. Never is it applied twice.

        Args:
            session_id: Which session.
            update_fn: A plain function. It gets the caller's own copy of the state and returns the new one, or None if
                it changed the one it was given. It may run more than once and must have no side effects. A last
                expression that has a value, as in ``lambda state: state["items"].pop()``, is refused where it would
                make an object or an array something else, or a part of itself; ReplaceState(value) says that it is
                meant.
            expected_version: Write only if the session is at this version. A version from before a session expired or
                was deleted never matches a later session of the same id.
            idempotency_key: What tells this update from any other of the session, say the id of the message that it
                answers. If the session has seen it, in whichever process, ``update_fn`` is not called, and the result
                has the current state and ``applied`` False. The same rule as for ids. It is seen when the update has
                landed, and remembered for as long as the session lives, but not for more than the
                ``idempotency_keys`` last of them.
            owner_id: Whose session it has to be: that of another owner, or of none, is not found, and this is no
                access of it. None: anybody's.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The new state, or in the result SessionNotFoundError, SessionConflictError (only with
            ``expected_version``), InvalidSessionIdError, InvalidStateError (the new state) or CorruptStateError (the
            stored one); with any of them nothing was written.

        Raises:
            Exception: What ``update_fn`` raises, unchanged; nothing was written.
            TypeError: ``update_fn`` is a coroutine function.
            ConfigurationError: An ``expected_version``, an ``idempotency_key``, an ``owner_id`` or a ``timeout`` that
                cannot be one.
            StorageError: The storage could not do it. UpdateOutcomeUnknownError: the connection was lost while
                writing, and it cannot be told whether that landed: the storage did not come back within 10 seconds, or
                16 other writes came in between, or the session is gone meanwhile; or the ``timeout`` was over.
        """
        change = Change(update_fn, self._codec, session_id)
        if idempotency_key is not None and (fault := fault_of(idempotency_key)):
            raise ConfigurationError(f"the idempotency_key {fault}")
        _check_version(expected_version)
        owner = _owner(owner_id)
        end = None if timeout is None else monotonic() + timeout.total_seconds()
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
            left = None if end is None else max(end - monotonic(), _MOMENT)
            timeout = None if left is None else timedelta(seconds=left)
            return await self.get_session(session_id, owner_id=owner_id, timeout=timeout)
        except (InvalidSessionIdError, InvalidStateError, SessionNotFoundError, SessionConflictError) as error:
            if any(error is raised for raised in change.raised):
                raise
            return SessionResult(_named(session_id), success=False, error=error)
        return self._success(updated.summary, updated.state, applied=True)

    async def delete_session(
        self,
        session_id: SessionId,
        *,
        owner_id: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109
    ) -> SessionResult[bool]:
        """Deletes a session; ``data`` is whether a live one was deleted. Deleting an absent one is a success.

        If a connection is lost while deleting, another one tells whether this call deleted it, and it is deleted if
        not.

        Args:
            session_id: Which one.
            owner_id: Whose session it has to be: that of another owner, or of none, is not found, and this is no
                access of it. None: anybody's.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Raises:
            ConfigurationError: An ``owner_id`` or a ``timeout`` that cannot be one.
            StorageError: The storage could not do it. UpdateOutcomeUnknownError: whether it was deleted is not known.
        """
        owner = _owner(owner_id)
        try:
            key = Key(self._namespace, check_session_id(session_id))
        except InvalidSessionIdError as error:
            return SessionResult(_named(session_id), success=False, error=error)
        deleted = await _in_time(timeout, self._storage.delete(key, **owner), writing=True)
        return SessionResult(key.session_id, success=True, data=deleted)

    def _result(self, document: Document, *, created: bool = False) -> SessionResult[T]:
        summary = document.summary
        try:
            state = self._codec.decode(document.state, summary.key.session_id)
            return self._success(summary, state, created=created)
        except CorruptStateError as error:
            return SessionResult(
                summary.key.session_id,
                success=False,
                error=error,
                version=_version(summary),
                metadata=_readable_metadata(summary),
            )

    def _success(self, summary: Summary, state: T, *, created: bool = False, applied: bool = False) -> SessionResult[T]:
        return SessionResult(
            summary.key.session_id,
            success=True,
            data=state,
            created=created,
            applied=applied,
            version=_version(summary),
            metadata=metadata_of(summary),
        )


async def _in_time(timeout: timedelta | None, call: Coroutine[Any, Any, R], *, writing: bool) -> R:  # noqa: ASYNC109
    if timeout is None:
        return await call
    try:
        config.check_duration(timeout, "timeout")
    except ConfigurationError:
        call.close()
        raise
    if not writing:
        return await within(timeout, call, lambda: False)
    with noting(sent := Sent()):
        return await within(timeout, call, sent.written)


def _version(summary: Summary) -> Version:
    return Version(summary.version, summary.last_write)


def _named(session_id: object) -> SessionId:
    return plain_text(session_id) if isinstance(session_id, str) else ""


def _readable_metadata(summary: Summary) -> SessionMetadata:
    try:
        return metadata_of(summary)
    except CorruptStateError:
        return metadata_of(summary._replace(origin=None))


def _check_version(version: object) -> None:
    # A number that came as text equals no version, and the conflict would name the same number twice.
    if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
        raise ConfigurationError(
            f"expected_version must be the version of a result, an int, and not {named(type(version))}"
        )


def _check_owner(owner_id: str | None, session_id: SessionId) -> str | None:
    if owner_id is not None and (fault := fault_of(owner_id)):
        raise InvalidStateError(fault, path="owner_id", session_id=session_id)
    return None if owner_id is None else plain_text(owner_id)


def _owner(owner_id: str | None) -> dict[str, Any]:
    """The owner as an argument of a provider, where one is named: providers of others need not know owners."""
    if owner_id is None:
        return {}
    if fault := fault_of(owner_id):
        raise ConfigurationError(f"the owner_id {fault}")
    return {"owner_id": plain_text(owner_id)}

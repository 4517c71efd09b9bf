"""The call of SessionManager that appends items to a session."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from time import monotonic
from typing import Final

from .. import arguments, config, results
from ..errors import (
    CorruptStateError,
    InvalidSessionIdError,
    InvalidStateError,
    SessionConflictError,
    SessionNotFoundError,
    SessionStoreError,
)
from ..ids import SessionId, started_at
from ..session import I, SessionResult, T
from ..storage import Append, Document, Draft, Summary, owned
from ..storage.journal import has_key, key_digest
from ..timeouts import in_time, time_left
from .creating import Creating
from .kind import Given

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1


class Appending(Creating[T, I]):
    """Appends items to the sessions of one kind."""

    async def append_items(
        self,
        session_id: SessionId,
        items: Sequence[I],
        *,
        ids: Sequence[str | None] | None = None,
        log: str = "",
        create: bool = False,
        owner_id: str | None = None,
        expected_position: int | None = None,
        idempotency_key: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109  # as in all calls, see concurrency/deadline.py
    ) -> SessionResult[None, I]:
        """Appends items to a session, all or none, next to each other.

        An append needs no read and conflicts with nobody: appends and updates of many callers land one after the other.
        An append is an access, and does not change the version.

        If the connection is lost during the write, the call looks on another connection whether the append landed, and
        appends again if it did not. Items are never appended twice.

        Args:
            session_id: The id.
            items: The items, in order. Without items, the call is an access and nothing else.
            ids: The caller's own ids of the items: one for each item or None, or None for all. An item whose id the
                session has already, in any log, is passed over and takes no position. The rule for ids applies.
            log: The name of the log. A session may have several, say of subagents or branches. The positions of all
                logs are counted together.
            create: Whether an absent session is created, with the default state and the items, in the same statement.
                ``default_state`` is called first, also if the session turns out to exist.
            owner_id: Only this owner's session is found, and no other is accessed. None: any session. A session that
                is created belongs to this owner.
            expected_position: Append only if this is the position of the item that was appended last, in any log; 0
                if none was.
            idempotency_key: Identifies this append within the session, as in update_session(). If an append or update
                with the key has landed, nothing is appended, and the result has ``applied`` False.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Returns:
            The new items, without those that were passed over, and the facts about the session; ``data`` is None. Or
            an error in the result: SessionNotFoundError, SessionConflictError (only with ``expected_position``),
            InvalidSessionIdError, InvalidStateError (an item, with its index; or with ``create`` the default state), or
            CorruptStateError (the stored origin; the items were appended).

        Raises:
            ConfigurationError: An argument is invalid.
            Exception: What ``default_state`` raises, unchanged; nothing was written.
            StorageError: The storage failed. UpdateOutcomeUnknownError: it is unknown whether the items were appended.
        """
        arguments.check_idempotency_key(idempotency_key)
        expected = arguments.position_or_none(expected_position, "expected_position")
        owner = arguments.owner_filter(owner_id)
        config.check_duration(timeout, "timeout")
        began = monotonic()
        try:
            key = self._key(session_id)
            given = self._given(items, ids, log, key.session_id)
            draft = self._first(key.session_id, owner_id) if create else None
        except (InvalidSessionIdError, InvalidStateError) as error:
            return results.failure(session_id, error)
        append = Append(
            key,
            given.texts,
            **owner,
            expected_position=expected,
            digest=None if idempotency_key is None else key_digest(idempotency_key),
            keys=self._idempotency_keys,
            keep=self._keep_items,
            create=draft,
        )
        for lost in count():
            if lost:  # each attempt needs a new id, by which the storage looks up an append whose answer was lost
                append = append.anew()
            left = time_left(timeout, began)
            if append.items:
                summary = await in_time(left, self._storage.append(append), writing=True)
            else:
                summary = await self._append_nothing(append, left)
            if summary is not None:
                return _appended(summary, given)
            looking = self._storage.get_many([key], touch=False, journal=True)
            (found,) = await in_time(time_left(timeout, began), looking, writing=False)
            if found is not None:
                if (reason := _reason(append, found)) is not None:
                    return results.failure(key.session_id, reason)
                if _seen(append, found):
                    seen = await self._access(append, time_left(timeout, began))
                    if seen is not None and started_at(seen.version, found.summary.version):
                        return _appended(seen, given)
            elif not append.creates:
                return results.failure(key.session_id, _absent(append))
            # The session has changed since. The pause is random, so that callers do not retry together.
            await asyncio.sleep(random.uniform(0, min(_FIRST_PAUSE * 2**lost, _LONGEST_PAUSE)))  # noqa: S311
        raise AssertionError("count() never ends")

    async def _append_nothing(self, append: Append, timeout: timedelta | None) -> Summary | None:  # noqa: ASYNC109
        """Accesses the session, or creates it; None: the session is gone, or the append would not land on it."""
        if append.create is None or not append.creates:
            return await self._access(append, timeout)
        document, created = await in_time(timeout, self._storage.create(append.create), writing=True)
        return None if _reason(append, document) else document.summary._replace(created=created)

    def _first(self, session_id: SessionId, owner_id: str | None) -> Draft:
        """Returns the session that an append creates, without its items.

        Raises:
            InvalidStateError: The default state cannot be stored.
        """
        state = self._default_state(session_id)
        return self._draft(session_id, state, ttl=self._ttl, origin=None, owner_id=owner_id, items=())

    async def _access(self, append: Append, timeout: timedelta | None) -> Summary | None:  # noqa: ASYNC109
        """Accesses the session; None: the session is gone, or the append would not land on it."""
        owner = arguments.owner_filter(append.owner_id)
        found = await in_time(timeout, self._storage.get(append.key, **owner), writing=False)
        return None if found is None or (not append.items and _reason(append, found)) else found.summary


def _reason(append: Append, found: Document) -> SessionStoreError | None:
    """Returns why the append does not land on this session; None: it may land, or the session has seen its key."""
    session_id, expected, actual = append.key.session_id, append.expected_position, found.summary.last_position
    if owned(found, append.owner_id) is None:
        return SessionNotFoundError(session_id)
    if expected in (None, actual) or _seen(append, found):
        return None
    assert expected is not None
    return SessionConflictError(session_id, expected=expected, actual=actual, of="position")


def _absent(append: Append) -> SessionStoreError:
    """Returns why the append creates no session."""
    if append.create is None or append.expected_position is None:
        return SessionNotFoundError(append.key.session_id)
    return SessionConflictError(append.key.session_id, expected=append.expected_position, actual=0, of="position")


def _seen(append: Append, found: Document) -> bool:
    return append.digest is not None and found.journal is not None and has_key(found.journal.keys, append.digest)


def _appended(summary: Summary, given: Given[I]) -> SessionResult[None, I]:
    items = given.at(summary.appended, summary.updated_at)
    try:
        return results.success(summary, None, items, created=summary.created, applied=bool(items))
    except CorruptStateError as error:
        return results.corrupt(summary, error, items)

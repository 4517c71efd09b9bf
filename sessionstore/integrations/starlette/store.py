"""Store: loads the session of a request, and stores what the request changed in it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final

from ...codec.states import UnstorableText
from ...errors import CorruptStateError, SessionConflictError, SessionNotFoundError, SessionStoreError, StorageError
from ...ids import SessionId, new_session_id, short_id
from ...manager import SessionManager
from ...session import SessionResult
from ...storage import StorageProvider
from ...updates.replacement import ReplaceState
from ..first_states import FirstStates
from ..keys import digest
from .session import Changes, Row, Session

logger = logging.getLogger(__name__)

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32}")
"""The form of ids that new_session_id() makes. Any other value of a cookie is ignored."""


def stored_id(token: str) -> SessionId:
    """Returns the id of a session's row: a digest of the cookie, so that a reader of the table has no valid cookie."""
    return digest(token)


class Store:
    """The sessions of browsers in one namespace of a storage.

    Args:
        storage: The storage.
        namespace: The namespace.
        ttl: How long a session lives after a request that used it.
        max_lifetime: How long a session lives at most.
        timeout: How long each call waits for the storage.
        unstorable_text: What to do with NUL characters and lone surrogates, as in SessionManager.
    """

    def __init__(
        self,
        storage: StorageProvider,
        namespace: str,
        *,
        ttl: timedelta | None,
        max_lifetime: timedelta | None,
        timeout: timedelta | None,
        unstorable_text: UnstorableText,
    ) -> None:
        self._first_states: FirstStates[dict[str, Any]] = FirstStates()
        self._manager: SessionManager[dict[str, Any]] = SessionManager(
            self._first_states,
            storage,
            namespace,
            ttl=ttl,
            max_lifetime=max_lifetime,
            unstorable_text=unstorable_text,
        )
        self._max_lifetime = max_lifetime
        self._timeout = timeout

    async def load(self, given: str | None) -> Session:
        """Loads the session of a cookie, in one round trip. Returns an empty session if there is none.

        If the storage fails, the error is raised when the request uses the session, and not before.
        """
        session = Session()
        session.row = row = Row(given, self._save_early)
        if given is None or _TOKEN.fullmatch(given) is None:
            return session
        try:
            seen = await self._manager.get_session(stored_id(given), touch=False, timeout=self._timeout)
        except SessionStoreError as error:
            logger.warning("a session could not be loaded", extra={"error": type(error).__name__})
            row.error = error
            return session
        if isinstance(seen.error, SessionNotFoundError):
            return session
        if seen.error is not None or not isinstance(seen.data, dict):
            row.error = seen.error or CorruptStateError("is no JSON object", session_id=seen.session_id)
            return session
        session.note_loaded(seen.data)
        self._note(session, seen, given)
        return session

    async def save(self, session: Session) -> None:
        """Stores the changes since the session was loaded or saved.

        Raises:
            InvalidStateError: A value cannot be stored.
            StorageError: The storage failed.
        """
        row = session.row
        async with row.saving:
            if row.cleared:
                await self._end(session)
            if row.gone:
                return
            changes = session.changes()
            if session.session_id is None:
                if session and not row.begun:
                    await self._create(session, changes)
                elif session:
                    logger.warning("a session was begun after the response, and is not stored")
            elif row.renewed:
                await self._renew(session, session.session_id, changes)
            elif changes is not None:
                updated = await self._manager.update_session(session.session_id, changes.apply, timeout=self._timeout)
                self._note_written(session, updated, changes)
            row.renewed = False

    def is_due(self, session: Session) -> bool:
        """Returns whether a request that used the session has to move the expiry of the session and its cookie."""
        seen = session.row.seen
        if seen is None or seen.metadata is None:
            return False
        expires_at, ttl = seen.metadata.expires_at, seen.metadata.ttl
        if expires_at is None or ttl is None:
            return False
        if self._max_lifetime is not None and expires_at >= seen.metadata.created_at + self._max_lifetime:
            return False
        return seen.read_at is None or expires_at < seen.read_at + ttl

    async def slide(self, session: Session) -> bool:
        """Moves the expiry of the session. Returns whether the session still exists, so that its cookie may be renewed.

        A late response must not set the cookie of a session that has ended. This cookie would replace the one that
        the browser got at its login.
        """
        assert session.session_id is not None
        try:
            seen = await self._manager.get_session(session.session_id, timeout=self._timeout)
        except StorageError as error:
            logger.warning("the expiry of a session was not moved", extra={"error": type(error).__name__})
            return False
        if seen.success:
            session.row.seen = seen
        elif isinstance(seen.error, SessionNotFoundError):
            self._note_gone(session)
        return seen.success

    async def _save_early(self, session: Session) -> None:
        await self.save(session)
        # A request may run for longer than a TTL. Only the storage knows whether the expiry is due now.
        if session.session_id is not None and not session.row.gone and await self.slide(session):
            session.row.written = True

    async def _create(self, session: Session, changes: Changes | None) -> None:
        token = new_session_id()
        created = await self._created(token, session, changes)
        self._note(session, created, token)
        session.note_stored(changes)
        session.row.written = True

    async def _created(self, token: str, session: Session, changes: Changes | None) -> SessionResult[dict[str, Any]]:
        session_id, state = stored_id(token), dict(session)
        if changes is not None:
            changes.apply(state)
        with self._first_states.noted(session_id, state):
            created = await self._manager.create_session(session_id, owner_id=session.owner_id, timeout=self._timeout)
        created.unwrap()
        return created

    async def _end(self, session: Session) -> None:
        if session.session_id is not None:
            (await self._manager.delete_session(session.session_id, timeout=self._timeout)).unwrap()
        session.note_ended()
        row = session.row
        row.token = row.seen = None
        row.cleared = row.gone = False
        row.ended = True

    async def _renew(self, session: Session, old_id: SessionId, changes: Changes | None) -> None:
        """Moves the session to a new id. Writes the new row before it deletes the old one, so a crash loses nothing."""
        token = new_session_id()
        new = await self._created(token, session, changes)
        expected = None if session.row.seen is None else session.row.seen.version
        delete = partial(self._manager.delete_session, old_id, timeout=self._timeout)
        while isinstance((deleted := await delete(expected_version=expected)).error, SessionConflictError):
            # Another request wrote to the old row. The new row gets these changes too.
            old = await self._manager.get_session(old_id, touch=False, timeout=self._timeout)
            if old.success:
                put = _replacement(old.unwrap(), changes)
                new = await self._manager.update_session(stored_id(token), put, timeout=self._timeout)
                new.unwrap()
            expected = old.version
        if not deleted.unwrap():
            # Another request ended the session, so its data must not stay under the new id.
            (await self._manager.delete_session(stored_id(token), timeout=self._timeout)).unwrap()
            self._note_gone(session)
            return
        self._note(session, new, token)
        session.note_stored(changes)
        session.row.written = True

    def _note(self, session: Session, seen: SessionResult[dict[str, Any]], token: str) -> None:
        session.session_id = seen.session_id
        session.owner_id = None if seen.metadata is None else seen.metadata.owner_id
        session.row.seen, session.row.token = seen, token

    def _note_written(self, session: Session, updated: SessionResult[dict[str, Any]], changes: Changes) -> None:
        if isinstance(updated.error, SessionNotFoundError):
            self._note_gone(session)
            return
        updated.unwrap()
        session.note_stored(changes)
        session.row.seen, session.row.written = updated, True

    def _note_gone(self, session: Session) -> None:
        shown = session.session_id and short_id(session.session_id)
        logger.info("a session ended beside a request, whose changes are dropped", extra={"session": shown})
        session.row.gone = True


def _replacement(
    state: dict[str, Any], changes: Changes | None
) -> Callable[[dict[str, Any]], ReplaceState[dict[str, Any]]]:
    if changes is not None:
        changes.apply(state)
    return lambda _: ReplaceState(state)

"""The errors that quote a session's id."""

from __future__ import annotations

from sessionstore import (
    CorruptStateError,
    InvalidSessionIdError,
    InvalidStateError,
    ItemNotFoundError,
    SessionConflictError,
    SessionNotFoundError,
    SessionOwnerError,
    SessionStoreError,
    StateTooLargeError,
)


def about(session_id: str) -> list[SessionStoreError]:
    """Every error that quotes a session's id."""
    return [
        SessionNotFoundError(session_id),
        SessionConflictError(session_id, expected=1, actual=2),
        SessionConflictError(session_id, expected=1, actual=2, of="position"),
        SessionConflictError(session_id, expected=0, actual=2, of="absence"),
        SessionConflictError(session_id, expected=0, actual=2, of="ids"),
        ItemNotFoundError(session_id, position=1),
        ItemNotFoundError(item_id=session_id),
        SessionOwnerError(session_id),
        InvalidSessionIdError(session_id, "must not be"),
        InvalidStateError("is bad", session_id=session_id),
        StateTooLargeError(size=2, limit=1, session_id=session_id),
        CorruptStateError("is bad", session_id=session_id),
    ]

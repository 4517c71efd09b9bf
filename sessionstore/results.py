"""Makes the SessionResult of a call from the answer of the storage or from an error."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from .codec.facts import metadata_of
from .errors import CorruptStateError, SessionStoreError
from .ids import Version, plain_text
from .session import I, Item, SessionMetadata, SessionResult, T
from .storage import Summary


def read(
    summary: Summary,
    decode: Callable[[], tuple[T, tuple[Item[I], ...]]],
    *,
    created: bool = False,
    read_at: datetime | None = None,
) -> SessionResult[T, I]:
    """Returns the result of a call that read a session. It is a failure if the state or an item does not fit its type.

    Args:
        summary: The facts about the session.
        decode: Decodes the state and the items.
        created: Whether the call created the session.
        read_at: When the session was read, by the storage's clock; None: the result has no such time.
    """
    try:
        state, items = decode()
        return success(summary, state, items, created=created, read_at=read_at)
    except CorruptStateError as error:
        return corrupt(summary, error)


def corrupt(summary: Summary, error: CorruptStateError, items: tuple[Item[Any], ...] = ()) -> SessionResult[Any, Any]:
    """Returns the result of a call that found a session whose state, origin or items cannot be read."""
    return SessionResult(
        summary.key.session_id,
        success=False,
        error=error,
        version=version(summary),
        metadata=readable_metadata(summary),
        items=items,
        last_position=summary.last_position,
        item_count=summary.item_count,
    )


def success(
    summary: Summary,
    state: T,
    items: tuple[Item[I], ...],
    *,
    created: bool = False,
    applied: bool = False,
    read_at: datetime | None = None,
) -> SessionResult[T, I]:
    """Returns the result of a call that succeeded.

    Raises:
        CorruptStateError: The stored origin is no JSON object.
    """
    return SessionResult(
        summary.key.session_id,
        success=True,
        data=state,
        created=created,
        applied=applied,
        version=version(summary),
        metadata=metadata_of(summary),
        items=items,
        last_position=summary.last_position,
        item_count=summary.item_count,
        read_at=read_at,
    )


def failure(session_id: object, error: SessionStoreError) -> SessionResult[Any, Any]:
    """Returns the result of a call that failed. Its id is "" if the caller's id is no string."""
    name = plain_text(session_id) if isinstance(session_id, str) else ""
    return SessionResult(name, success=False, error=error)


def readable_metadata(summary: Summary) -> SessionMetadata:
    """Returns the metadata, without the origin if the origin cannot be read."""
    try:
        return metadata_of(summary)
    except CorruptStateError:
        return metadata_of(summary._replace(origin=None))


def version(summary: Summary) -> Version:
    """Returns the version of the session, with the write that made it."""
    return Version(summary.version, summary.last_write)

"""Makes the SessionResult of a call from what the storage answered, or from the error."""

from __future__ import annotations

from typing import Any, TypeVar

from .codec.facts import metadata_of
from .codec.states import Codec
from .errors import CorruptStateError, SessionStoreError
from .ids import Version, plain_text
from .session import SessionMetadata, SessionResult
from .storage import Document, Summary

T = TypeVar("T")


def found(codec: Codec[T], document: Document, *, created: bool = False) -> SessionResult[T]:
    """The result of a call that read or created a session; a failure if the stored state does not fit its type."""
    summary = document.summary
    try:
        state = codec.decode(document.state, summary.key.session_id)
        return success(summary, state, created=created)
    except CorruptStateError as error:
        return SessionResult(
            summary.key.session_id,
            success=False,
            error=error,
            version=_version(summary),
            metadata=_readable_metadata(summary),
        )


def success(summary: Summary, state: T, *, created: bool = False, applied: bool = False) -> SessionResult[T]:
    """The result of a call that succeeded.

    Raises:
        CorruptStateError: The stored origin is no JSON object.
    """
    return SessionResult(
        summary.key.session_id,
        success=True,
        data=state,
        created=created,
        applied=applied,
        version=_version(summary),
        metadata=metadata_of(summary),
    )


def failure(session_id: object, error: SessionStoreError) -> SessionResult[Any]:
    """The result of a call that failed. The id is "" if the caller gave none that is a string."""
    name = plain_text(session_id) if isinstance(session_id, str) else ""
    return SessionResult(name, success=False, error=error)


def _version(summary: Summary) -> Version:
    return Version(summary.version, summary.last_write)


def _readable_metadata(summary: Summary) -> SessionMetadata:
    """The metadata, without the origin if that cannot be read."""
    try:
        return metadata_of(summary)
    except CorruptStateError:
        return metadata_of(summary._replace(origin=None))

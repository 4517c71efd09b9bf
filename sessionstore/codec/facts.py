"""The facts beside a state: the origin of a session, and the metadata that callers get."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from ..errors import CorruptStateError, InvalidStateError, StateTooLargeError
from ..ids import SessionId
from ..session import SessionMetadata
from ..storage import Summary
from .jsontext import Refused, dumps, loads
from .unstorable import replaced


def origin_of(summary: Summary) -> dict[str, JsonValue] | None:
    """Returns the origin of a session; None: the session has no origin.

    Raises:
        CorruptStateError: The stored origin is no JSON object.
    """
    if summary.origin is None:
        return None
    try:
        origin = loads(summary.origin)
    except ValueError:
        origin = ...
    # Raised outside the except block: the caught error holds the text, and would become the context.
    if origin is ...:
        raise CorruptStateError("is no JSON text", path="origin", session_id=summary.key.session_id)
    if origin is not None and not isinstance(origin, dict):
        raise CorruptStateError("is no JSON object", path="origin", session_id=summary.key.session_id)
    return origin


def encode_origin(
    origin: Mapping[str, JsonValue] | None, session_id: SessionId, *, max_bytes: int, replaces: bool
) -> str | None:
    """Returns the JSON text of an origin; None: the session has no origin.

    Args:
        origin: Where the session comes from.
        session_id: The session that the errors name.
        max_bytes: The longest text that is accepted. Each read, access and listing transfers the origin.
        replaces: Whether U+FFFD replaces characters that no storage can keep.

    Raises:
        InvalidStateError: The origin is no mapping, or could not be read back.
        StateTooLargeError: The text takes more than ``max_bytes``.
    """
    if origin is None:
        return None
    if not isinstance(origin, Mapping):
        raise InvalidStateError("must be a mapping", path="origin", session_id=session_id)
    refused: Refused | None = None
    try:
        encoded = _encoded(dict(origin), replaces=replaces)
    except Refused as error:
        refused, encoded = error, b""
    if refused is not None:
        raise InvalidStateError(refused.reason, path=f"origin{refused.path[1:]}", session_id=session_id)
    if len(encoded) > max_bytes:
        raise StateTooLargeError(size=len(encoded), limit=max_bytes, path="origin", session_id=session_id)
    return encoded.decode()


def _encoded(origin: dict[str, JsonValue], *, replaces: bool) -> bytes:
    try:
        return dumps(origin)
    except Refused:
        if not replaces:
            raise
    return dumps(replaced(origin))


def metadata_of(summary: Summary) -> SessionMetadata:
    """Returns the metadata of a session.

    Raises:
        CorruptStateError: The stored origin is no JSON object.
    """
    return SessionMetadata(
        created_at=summary.created_at,
        updated_at=summary.updated_at,
        last_accessed_at=summary.last_accessed_at,
        expires_at=summary.expires_at,
        ttl=summary.ttl,
        origin=None if summary.origin is None else origin_of(summary),
        owner_id=summary.owner_id,
    )

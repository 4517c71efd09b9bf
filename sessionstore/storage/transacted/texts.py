"""The text of a session: its document with its journal, and its items, as one JSON array."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from .. import Document, Key, Summary
from ..journal import Journal
from .logs import Entry

_FORMAT: Final = 1
_MICROSECOND: Final = timedelta(microseconds=1)


def text_of(document: Document, entries: Sequence[Entry]) -> str:
    """Returns the text of a session.

    Args:
        document: The session, with its journal.
        entries: Its items.
    """
    summary = document.summary
    times = (summary.created_at, summary.updated_at, summary.last_accessed_at, summary.expires_at, summary.deadline)
    written = [
        _FORMAT,
        document.state,
        document.state_version,
        summary.version,
        [time and time.isoformat() for time in times],
        None if summary.ttl is None else summary.ttl // _MICROSECOND,
        summary.origin,
        summary.owner_id,
        summary.last_write,
        summary.last_position,
        document.journal or Journal("", ""),
        [[*entry[:4], entry.created_at.isoformat(), entry.version] for entry in entries],
    ]
    return json.dumps(written, separators=(",", ":"))


def session_of(key: Key, text: str) -> tuple[Document, list[Entry]]:
    """Returns the session of a text that text_of() made.

    Raises:
        ValueError: The text is of another format.
    """
    found: list[Any] = json.loads(text)
    if found[0] != _FORMAT:
        raise ValueError(
            f"the text of a session has format {found[0]!r}, and this version of sessionstore reads format {_FORMAT} "
            "only; use the version that wrote the text"
        )
    _, state, state_version, version, times, ttl, origin, owner_id, last_write, last_position, journal, items = found
    entries = [Entry(at, log, item, id_, _time(then), shape) for at, log, item, id_, then, shape in items]
    created_at, updated_at, last_accessed_at, expires_at, deadline = times
    summary = Summary(
        key=key,
        version=version,
        created_at=_time(created_at),
        updated_at=_time(updated_at),
        last_accessed_at=_time(last_accessed_at),
        expires_at=expires_at and _time(expires_at),
        deadline=deadline and _time(deadline),
        ttl=None if ttl is None else ttl * _MICROSECOND,
        origin=origin,
        owner_id=owner_id,
        last_write=last_write,
        last_position=last_position,
        item_count=len(entries),
    )
    return Document(state, summary, Journal(*journal), state_version=state_version), entries


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)

"""Formats the metadata of a session for programs and for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from ..storage import Summary
from .durations import shown_duration

COLUMNS: Final = ("namespace", "session", "owner", "created", "last access", "expires")


def as_row(summary: Summary) -> Sequence[str]:
    """Returns the cells of a table row, in the order of COLUMNS."""
    times = (summary.created_at, summary.last_accessed_at, summary.expires_at)
    return (*summary.key, summary.owner_id or "", *map(moment, times))


def as_facts(summary: Summary) -> Iterator[tuple[str, str]]:
    """Yields names and values, for people."""
    yield "namespace", summary.key.namespace
    yield "session", summary.key.session_id
    yield "owner", summary.owner_id or "-"
    yield "origin", summary.origin or "-"
    yield "version", str(summary.version)
    yield "created", moment(summary.created_at)
    yield "updated", moment(summary.updated_at)
    yield "last access", moment(summary.last_accessed_at)
    yield "expires", moment(summary.expires_at)
    yield "at the latest", moment(summary.deadline)
    yield "time to live", "unlimited" if summary.ttl is None else shown_duration(summary.ttl)


def as_members(summary: Summary) -> dict[str, Any]:
    """Returns the members of a JSON object, for programs."""
    return {
        "namespace": summary.key.namespace,
        "session_id": summary.key.session_id,
        "owner_id": summary.owner_id,
        "origin": None if summary.origin is None else json.loads(summary.origin),
        "version": summary.version,
        "created_at": iso(summary.created_at),
        "updated_at": iso(summary.updated_at),
        "last_accessed_at": iso(summary.last_accessed_at),
        "expires_at": iso(summary.expires_at),
        "deadline": iso(summary.deadline),
        "ttl_seconds": None if summary.ttl is None else summary.ttl.total_seconds(),
    }


def iso(time: datetime | None) -> str | None:
    """Formats a time as in RFC 3339; None stays None."""
    return None if time is None else time.isoformat()


def moment(time: datetime | None, *, none: str = "never") -> str:
    """Formats a time to the second, in UTC."""
    return none if time is None else f"{time:%Y-%m-%d %H:%M:%S}Z"

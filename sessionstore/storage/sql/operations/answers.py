"""Answers of the database that cannot be right, or that mean that somebody is in the way."""

from __future__ import annotations

from collections.abc import Collection

from ....errors import StorageError, StorageUnavailableError, shown_id
from ... import Key


def not_asked_for() -> StorageError:
    """The error for a row whose key nobody asked for: taken for an absence, it would hide a session."""
    return StorageError(
        "the database answered with a row that was not asked for; either two processes use one connection (give each "
        "an engine of its own), or a trigger or a rule of the table 'sessions' changes keys (drop it)"
    )


def not_kept(keys: Collection[Key], *, deleting: bool = False) -> StorageError:
    """The error for a write that the database took, that nobody is in the way of, and that is not there."""
    done = "did not delete" if deleting else "did not keep what was written to"
    return StorageError(
        f"the database {done} session {_shown(keys)}, and gave no error: a trigger of the table 'sessions' that "
        "returns NULL, a rule, or row level security swallows the write; drop it, or let this role's writes through"
    )


def held(keys: Collection[Key], seconds: float) -> StorageUnavailableError:
    """The error for sessions whose rows another transaction holds."""
    return StorageUnavailableError(
        f"another transaction holds the row of session {_shown(keys)}; waited {seconds:g} s for it, and nothing was "
        "written; end that transaction (pg_locks shows it), then try again"
    )


def _shown(keys: Collection[Key]) -> str:
    first = shown_id(min(keys).session_id) if keys else "?"
    return first if len(keys) == 1 else f"{first} and of {len(keys) - 1} more"

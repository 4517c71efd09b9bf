"""The errors for wrong answers of the database, and for rows that another transaction holds."""

from __future__ import annotations

from collections.abc import Collection

from ....errors import StorageError, StorageUnavailableError, shown_id
from ... import Key


def not_asked_for() -> StorageError:
    """Makes the error for a row whose key was not asked for. Ignoring the row would report a session as absent."""
    return StorageError(
        "the database answered with a row that was not asked for; either two processes use one connection (give each "
        "process its own engine), or a trigger or a rule of the table 'sessions' changes keys (drop it)"
    )


def not_kept(keys: Collection[Key], *, deleting: bool = False) -> StorageError:
    """Makes the error for a write that the database accepted but did not keep, although no transaction blocks it."""
    done = "did not delete" if deleting else "did not keep the write to"
    return StorageError(
        f"the database {done} session {_shown(keys)}, and gave no error: a trigger of the table 'sessions' that "
        "returns NULL, a rule or row level security dropped the write; remove that, or let it allow this role's writes"
    )


def held(keys: Collection[Key], seconds: float) -> StorageUnavailableError:
    """Makes the error for sessions whose rows another transaction holds."""
    return StorageUnavailableError(
        f"another transaction holds the row of session {_shown(keys)}; waited {seconds:g} s for it, and nothing was "
        "written; end that transaction (pg_locks shows it), then try again"
    )


def _shown(keys: Collection[Key]) -> str:
    first = shown_id(min(keys).session_id) if keys else "?"
    return first if len(keys) == 1 else f"{first} and of {len(keys) - 1} more"

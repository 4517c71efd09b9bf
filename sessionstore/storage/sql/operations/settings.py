"""Setting sessions: creates each session, or overwrites the one that is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from ....errors import StorageError
from ... import Draft, Key, Summary
from ..drivers.driver import Row
from ..statements.rows import SET_AT, expired, key_of, summary_of
from .rounds import Rounds

Set: TypeAlias = Callable[[Iterable[Draft]], Awaitable[Sequence[Row]]]
"""Runs the statement `set`, which skips rows that other transactions hold. Returns the written rows."""

Move: TypeAlias = Callable[[Collection[Key]], Awaitable[Mapping[Key, tuple[datetime, datetime | None]]]]
"""Moves the expiry of sessions. Returns the time of the access and the new expiry of each moved session."""


async def settled(drafts: Sequence[Draft], write: Set, move: Move, rounds: Rounds) -> Mapping[Key, Summary]:
    """Sets each session to its draft, and returns the summaries. If a key comes twice, its last draft wins.

    Retries rows that other transactions hold.
    """
    pending = {draft.key: draft for draft in drafts}
    summaries: dict[Key, Summary] = {}
    free: Collection[Key] = list(pending)
    while pending:
        sending = {key: pending[key] for key in free}
        try:
            rows = await write(sending.values())
        except StorageError as error:
            await rounds.refused(error)
            continue
        # If the INSERT waited for a concurrent INSERT, its times are from before the wait. The session may have expired
        # during the wait, or its expiry has to be moved.
        moved = await move([key_of(row) for row in rows if row[SET_AT + 1]])
        for row in rows:
            key = key_of(row)
            summary = summary_of(row)
            # A new session that has expired already is set again. An overwritten session keeps its age, so the draft's
            # max_lifetime may end it at once, and rightly.
            made = summary.created_at == summary.updated_at
            if not (made and expired(row, now=SET_AT)):
                summaries[key] = summary
                pending.pop(key, None)
            if key in summaries and key in moved:
                summaries[key] = summaries[key]._replace(last_accessed_at=moved[key][0], expires_at=moved[key][1])
        if pending:
            free = await rounds.again([key for key in sending if key in pending], pending)
    return summaries

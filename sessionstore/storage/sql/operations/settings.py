"""Drafts that are set, whatever is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from ....errors import StorageError
from ... import Draft, Key, Summary
from ..drivers.driver import Row
from ..statements.rows import SET_AT, key_of, over, summary_of
from .rounds import Rounds

Set: TypeAlias = Callable[[Iterable[Draft]], Awaitable[Sequence[Row]]]
"""Writes drafts over whatever is there, but for rows that others hold: rows of what it wrote."""

Move: TypeAlias = Callable[[Collection[Key]], Awaitable[Mapping[Key, tuple[datetime, datetime | None]]]]
"""Moves the expiry of sessions: when they were accessed, and their expiry."""


async def settled(drafts: Sequence[Draft], write: Set, move: Move, rounds: Rounds) -> Mapping[Key, Summary]:
    """Sets drafts, of those with one key the last. Rows that others hold are set when they are free."""
    pending = {draft.key: draft for draft in drafts}
    summaries: dict[Key, Summary] = {}
    while pending:
        try:
            rows = await write(pending.values())
        except StorageError as error:
            await rounds.refused(error)
            continue
        # Where the INSERT waited for another one, times are from before: the session may have expired before it was
        # there, or it is to live longer.
        moved = await move([key_of(row) for row in rows if row[SET_AT + 1]])
        for row in rows:
            key = key_of(row)
            summary = summary_of(row)
            # A live session that was overwritten keeps its age, so the draft's max_lifetime may well end it at once.
            made = summary.created_at == summary.updated_at
            if not (made and over(row, now=SET_AT)):
                summaries[key] = summary
                pending.pop(key, None)
            if key in summaries and key in moved:
                summaries[key] = summaries[key]._replace(last_accessed_at=moved[key][0], expires_at=moved[key][1])
        if pending:
            await rounds.again(pending)
    return summaries

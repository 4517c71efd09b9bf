"""Reads and accesses of sessions. An access moves the expiry if that is due."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from math import inf

from ....concurrency.loops import PerLoop
from ....errors import StorageUnavailableError, UpdateOutcomeUnknownError
from ... import Document, Key, Window
from ..drivers.driver import Row
from ..statements.compiled import Statements
from ..statements.fields import key_fields, unique
from ..statements.item_reading import Shape, window_fields
from ..statements.rows import DUE, OWNER_ID, accessed, key_of
from .fetching import Fetching
from .late import MOVE_SECONDS, LateAccesses


class Reads:
    """Reads and accesses the sessions of one storage.

    Args:
        statements: The statements of the storage.
        fetching: Runs the statements.
    """

    def __init__(self, statements: Statements, fetching: Fetching) -> None:
        self._statements = statements
        self._fetching = fetching
        self._late = PerLoop(lambda: LateAccesses(self._move_late))

    async def close(self) -> None:
        """Cancels the late accesses."""
        for late in self._late.all().values():
            await late.close()

    async def read(self, keys: Iterable[Key], *, journal: bool = False, window: Window | None = None) -> Sequence[Row]:
        """Reads the rows of the live sessions among the keys, with the items of a window. This is no access."""
        if window is not None and (window.limit > 0 or not window.state):
            statement = self._statements.get_window(Shape.of(window), journal=journal)
            return await self._fetching.batch(statement, unique(keys), writing=False, shared=window_fields(window))
        statement = self._statements.get_with_journal if journal else self._statements.get
        return await self._fetching.batch(statement, unique(keys), writing=False)

    async def due(self, keys: Iterable[Key]) -> dict[Key, bool]:
        """Returns the live sessions among the keys, and whether an access has to move the expiry of each."""
        rows = await self._fetching.batch(self._statements.exists, unique(keys), writing=False)
        return {key_of(row): bool(row[2]) for row in rows}

    async def move(
        self,
        keys: Collection[Key],
        *,
        access: bool = False,
        seconds: float = inf,
        unless: Callable[[], bool] | None = None,
    ) -> dict[Key, tuple[datetime, datetime | None]]:
        """Moves each expiry that is due, unless another transaction holds the row.

        Args:
            keys: The sessions.
            access: Whether the expiry is moved for the sake of a read, see Gateway.run().
            seconds: The time limit, unless the time limit of all statements is lower.
            unless: Called once there is a connection. If it returns True, nothing is moved.

        Returns:
            The time of the access and the new expiry of each session whose expiry was moved.

        Raises:
            UpdateOutcomeUnknownError: The time limit passed: a transaction locks the whole table, or the server does
                not answer.
        """
        rows = await self._fetching.batch(
            self._statements.touch, map(key_fields, keys), writing=True, access=access, seconds=seconds, unless=unless
        )
        return {key_of(row): (row[2], row[3]) for row in rows}

    async def touch(self, keys: Collection[Key]) -> set[Key]:
        """Moves each expiry that is due; in the background, if the row or the table is locked now.

        Returns:
            The live sessions among the keys.
        """
        late = self._late.here()
        moved: Collection[Key] = ()
        if not late.is_blocked():
            try:
                moved = await self.move(keys, seconds=MOVE_SECONDS, unless=late.is_blocked)
            except UpdateOutcomeUnknownError:
                late.blocked = True
        # The other sessions are gone, or their expiry is not due, or another transaction holds them.
        live = await self.due([key for key in keys if key not in moved])
        late.add(key for key, due in live.items() if due)
        return {*moved, *live}

    async def _move_late(self, keys: Collection[Key]) -> Collection[Key]:
        moved = await self.move(keys, access=True, seconds=MOVE_SECONDS)
        due = await self.due([key for key in keys if key not in moved])
        return [key for key, is_due in due.items() if is_due]

    async def held(self, keys: Collection[Key]) -> Collection[Key]:
        """Returns the keys of the rows that other transactions hold."""
        # The statement locks rows for its own duration and writes nothing. So it may be repeated if its answer is lost.
        rows = await self._fetching.batch(self._statements.held, map(key_fields, keys), writing=False)
        return [key_of(row) for row in rows]

    async def access(
        self, rows: Sequence[Row], *, journal: bool = False, window: Window | None = None
    ) -> dict[Key, Document]:
        """Accesses the sessions of rows that were just read: moves each expiry that is due.

        If another transaction holds the row or the table, or if the server is read-only or unavailable, the expiry is
        moved afterwards, in the background, and the document has the expiry that was read.

        Returns:
            The documents as the access leaves them.
        """
        found = {key_of(row): accessed(row) for row in rows}
        if not (due := [key_of(row) for row in rows if row[DUE]]):
            return found
        late = self._late.here()
        due = [key for key in due if key not in late]
        if late.is_blocked():
            late.add(due)
            return found
        moving = self.move(due, access=True, seconds=MOVE_SECONDS, unless=late.is_blocked)
        try:
            moved = (await late.within_moment(moving) or {}) if self._statements.one_writer else await moving
        except (StorageUnavailableError, UpdateOutcomeUnknownError) as error:
            late.blocked = isinstance(error, UpdateOutcomeUnknownError)
            late.add(due)
            return found
        for key, (last_accessed_at, expires_at) in moved.items():
            summary = found[key].summary._replace(last_accessed_at=last_accessed_at, expires_at=expires_at)
            found[key] = found[key]._replace(summary=summary)
        # Another call moved or deleted the other sessions, or a transaction holds them. A second read shows which.
        if others := [key for key in due if key not in moved]:
            again = await self.read(others, journal=journal, window=window)
            late.add(key_of(row) for row in again if row[DUE])
            for key in others:
                del found[key]
            found |= {key_of(row): accessed(row) for row in again}
        return found


def may_access(row: Row, asked: Collection[tuple[Key, str | None]]) -> bool:
    """Returns whether any caller that asked for the session of a row named its owner, or named no owner."""
    key = key_of(row)
    return (key, None) in asked or (key, row[OWNER_ID]) in asked

"""The landing of a batch of appends. Each append lands at most once, also if the answer of an attempt is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from ....concurrency.call import copy_of
from ....errors import UpdateOutcomeUnknownError
from ... import Append, Key, Summary
from ...journal import MARK, Fate, appended_at, new_write_id
from ..drivers.driver import Row
from ..statements.compiled import Statements
from ..statements.rows import append_fields, is_plain, key_fields, key_of, summary_of
from .fetching import Fetching

Changing: TypeAlias = Callable[[Sequence[Append]], Awaitable[Mapping[Key, Summary | None]]]
"""Appends in a transaction. Returns the summary of each session, None if its append was refused; a key that is missing
belongs to a row that another transaction holds."""


class Landing:
    """Appends of one batch, one for each session.

    Plain appends go in one statement, where the database can change two tables in one. Appends with ids have to look
    for the ids first, and appends that remove old items have to count them: they go in a transaction.

    An append whose answer was lost may still land later. So it is settled before it is sent again: either it has
    landed, or its id is entered among the lost ones, with which it cannot land any more. Then it is sent under a new
    id.

    Args:
        appends: The appends.
        statements: The statements of the storage.
        fetching: Runs the statements.
        changing: Appends in a transaction.

    Attributes:
        results: The session after each append, or the error of an append that cannot be settled. A key that is missing
            belongs to an append that did not land.
    """

    def __init__(
        self, appends: Mapping[Key, Append], statements: Statements, fetching: Fetching, changing: Changing
    ) -> None:
        self._pending = dict(appends)
        self._lost: dict[Key, Append] = {}
        self._statements = statements
        self._fetching = fetching
        self._changing = changing
        self._error: UpdateOutcomeUnknownError | None = None
        self.results: dict[Key, Summary | Exception] = {}

    async def attempt(self) -> None:
        """Sends the appends, after settling those whose answers were lost.

        Raises:
            UpdateOutcomeUnknownError: An answer was lost, or a lost append could not be settled yet. Attempt again.
        """
        if self._lost:
            await self._settle()
        plain = [it for it in self._pending.values() if _plain(it) and not self._statements.one_writer]
        others = [it for it in self._pending.values() if it not in plain]
        if plain:
            await self._send(plain, self._append)
        if others:
            await self._send(others, self._changing)

    async def _send(self, appends: Sequence[Append], send: Changing) -> None:
        for append in appends:
            del self._pending[append.key]
        try:
            landed = await send(appends)
        except UpdateOutcomeUnknownError as error:
            self._lost |= {append.key: append for append in appends}
            self._error = error
            raise
        self.results |= {key: summary for key, summary in landed.items() if summary is not None}

    async def _append(self, appends: Sequence[Append]) -> Mapping[Key, Summary | None]:
        # Not divisible: the first half might land before the second one is refused.
        rows = await self._fetching.batch(
            self._statements.append, map(append_fields, appends), writing=True, divisible=False
        )
        counts = {append.key: len(append.items) for append in appends}
        landed: dict[Key, Summary | None] = {}
        for summary in map(summary_of, rows):
            end = summary.last_position + 1
            landed[summary.key] = _appended(summary, range(end - counts[summary.key], end))
        return landed

    async def _settle(self) -> None:
        """Finds out which lost appends have landed. The others cannot land from now on, and become pending again.

        Raises:
            UpdateOutcomeUnknownError: Another transaction holds the row of one of them, perhaps that of the append.
        """
        assert self._error is not None
        fields = [key_fields(key) | {"append_id": append.id} for key, append in self._lost.items()]
        await self._fetching.batch(self._statements.use_up_appends, fields, writing=True)
        rows = await self._fetching.batch(self._statements.settled_appends, fields, writing=False)
        found = {key_of(row): row for row in rows}
        for key, append in list(self._lost.items()):
            fate = _fate(append, found[key]) if key in found else Fate.UNTOLD
            if fate is None:
                continue
            if fate is Fate.UNTOLD:
                self.results[key] = copy_of(self._error)
            elif fate is Fate.NOT_LANDED:
                self._pending[key] = replace(append, id=new_write_id())
            elif isinstance(fate, Fate):
                self._pending[key] = append  # with the same id: the transaction finds that it has landed
            else:
                self.results[key] = _appended(summary_of(found[key]), fate)
            del self._lost[key]
        if self._lost:
            raise copy_of(self._error)


def _fate(append: Append, row: Row) -> Fate | Sequence[int] | None:
    """Returns what became of a lost append: the positions of its items if they are known; None: that is open yet."""
    summary, (appends, lost_appends, first) = summary_of(row), row[-3:]
    if MARK + append.id in lost_appends:
        return Fate.NOT_LANDED
    if (at := appended_at(appends, append.id, summary.last_position)) is not None:
        return range(at[0], at[1] + 1) if _plain(append) else Fate.LANDED
    if first is None:
        return None
    # Later changes have pushed the entry out of the journal, but the first item still has the id of the append.
    return range(first, first + len(append.items)) if _plain(append) else Fate.UNTOLD


def _plain(append: Append) -> bool:
    return is_plain(append.items, append.keep)


def _appended(summary: Summary, positions: Sequence[int]) -> Summary:
    return summary._replace(appended=positions)

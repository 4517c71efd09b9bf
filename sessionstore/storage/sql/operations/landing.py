"""The landing of a batch of appends. Each append lands at most once, also if the answer of an attempt is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from ....concurrency.call import copy_of
from ....concurrency.sent import nothing_written
from ....errors import StorageError, UpdateOutcomeUnknownError
from ....ids import started_at
from ... import Append, Key, NewItem, Summary
from ...journal import MARK, Fate, appended_at
from ..drivers.driver import Row
from ..faults import DIVISION_BY_ZERO, LOCK_NOT_AVAILABLE, UNIQUE_VIOLATION
from ..statements.compiled import Statements
from ..statements.fields import append_fields, finding_fields, founding_fields, key_fields
from ..statements.rows import APPEND_CREATED, APPEND_DUE, key_of, summary_of
from .changes import Done, fate_of
from .fetching import Fetching
from .placing import items_not_kept
from .receipts import prevent
from .recent import RecentSessions

Sending: TypeAlias = dict[Key, Done[Summary]]

Changing: TypeAlias = Callable[[Sequence[Append], Sending], Awaitable[Mapping[Key, Summary | None]]]
"""Appends in a transaction, see Changes.append()."""


class Landing:
    """Appends of one batch, one for each session.

    Plain appends go in one statement, if the database can change two tables in one. The database refuses the statement
    if a session has one of the ids already. Then the appends go in a transaction, which looks for the ids first.
    Appends with ``keep`` always go in a transaction, because the old items that they remove have to be counted.

    An append whose answer was lost may still land later. So it is *settled* before it is sent again: either it has
    landed, or its id is entered in the row as lost, and then the append cannot land any more. After that, it is sent
    under a new id. For an append that creates a session, the version of its draft is used up too.

    The statement that creates absent sessions costs twice as much as the one that does not. So if the session was live
    a moment ago, an append that may create it is first sent in the statement that does not.

    Args:
        appends: The appends.
        statements: The statements of the storage.
        fetching: Runs the statements.
        changing: Appends in a transaction.
        recent: The sessions that were live a moment ago.
        in_transaction: Whether plain appends go in a transaction too.

    Attributes:
        results: The session after each append, or the error of an append that cannot be settled. An append that did not
            land has no result.
    """

    def __init__(
        self,
        appends: Mapping[Key, Append],
        statements: Statements,
        fetching: Fetching,
        changing: Changing,
        recent: RecentSessions,
        *,
        in_transaction: bool,
    ) -> None:
        self._pending = dict(appends)
        self._lost: dict[Key, Append] = {}
        self._statements = statements
        self._fetching = fetching
        self._changing = changing
        self._recent = recent
        self._in_transaction = in_transaction
        self._sending: Sending = {}
        self._error: UpdateOutcomeUnknownError | None = None
        self.results: dict[Key, Summary | Exception] = {}

    async def attempt(self) -> None:
        """Settles the appends whose answers were lost, and then sends the pending appends.

        Raises:
            UpdateOutcomeUnknownError: An answer was lost, or a lost append could not be settled yet. Call again.
        """
        if self._lost:
            await self._settle()
        plain: list[Append] = []
        finding: list[Append] = []
        creating: list[Append] = []
        others: list[Append] = []
        for append in self._pending.values():
            if self._in_transaction or append.keep is not None:
                others.append(append)
            elif append.creates:
                (finding if append.key in self._recent else creating).append(append)
            else:
                plain.append(append)
        for appends in (plain, finding, creating):
            if not appends:
                continue
            try:
                await self._send(appends, finding=appends is finding)
            except StorageError as error:
                if self._waited(error):
                    continue
                if not has_id_already(error, *(append.items for append in appends)):
                    raise refusal_of(error) from error.__cause__
                others += appends
            else:
                if appends is finding:
                    creating += [append for append in finding if append.key in self._pending]
        if others:
            try:
                await self._send_changes(others)
            except StorageError as error:
                if not self._waited(error):
                    raise

    def _waited(self, error: StorageError) -> bool:
        """Returns whether a lone append waited too long for another transaction, which is inserting the session.

        The append then counts as not landed, and its caller tries again.
        """
        pending = self._pending.values()
        if error.code != LOCK_NOT_AVAILABLE or len(pending) > 1 or not all(append.creates for append in pending):
            return False
        self._land(list(pending), {})
        return True

    async def _send(self, appends: Sequence[Append], *, finding: bool) -> None:
        for append in appends:
            self._sending.pop(append.key, None)
        try:
            landed = await self._append(appends, finding=finding)
        except UpdateOutcomeUnknownError as error:
            self._lose(appends, error)
            raise
        if finding:
            if not (landed or self.results):
                nothing_written()
            # The other sessions were not found. Their appends go into the statement that creates sessions.
            self._recent.discard(append.key for append in appends if append.key not in landed)
            appends = [append for append in appends if append.key in landed]
        elif appends[0].creates:
            self._recent.add(landed)
        self._land(appends, landed)

    async def _send_changes(self, others: Sequence[Append]) -> None:
        self._sending.clear()
        try:
            landed = await self._changing(others, self._sending)
        except UpdateOutcomeUnknownError as error:
            # The other appends stay pending: the transaction did not reach its commit, or refused them.
            self._lose([append for append in others if append.key in self._sending], error)
            raise
        self._land(others, landed)

    def _lose(self, appends: Iterable[Append], error: UpdateOutcomeUnknownError) -> None:
        for append in appends:
            self._lost[append.key] = self._pending.pop(append.key)
        self._error = error

    def _land(self, appends: Iterable[Append], landed: Mapping[Key, Summary | None]) -> None:
        for append in appends:
            del self._pending[append.key]
            if (summary := landed.get(append.key)) is not None:
                self.results[append.key] = summary

    async def _append(self, appends: Sequence[Append], *, finding: bool) -> Mapping[Key, Summary | None]:
        """Sends one statement.

        Args:
            appends: The appends: all of them may create their sessions, or none.
            finding: Whether the statement creates no sessions, although the appends may.
        """
        creating = appends[0].creates and not finding
        statement, fields = self._statements.append, append_fields
        if finding:
            statement, fields = self._statements.append_to_found, finding_fields
        elif creating:
            statement, fields = self._statements.append_or_create, founding_fields
        # Not divisible: the first half might land before the second one is refused.
        rows = await self._fetching.batch(statement, map(fields, appends), writing=True, divisible=False)
        counts = {append.key: len(append.items) for append in appends}
        landed: dict[Key, Summary | None] = {}
        for row in rows:
            summary = summary_of(row)
            end = summary.last_position + 1
            created = creating and row[APPEND_CREATED]
            landed[summary.key] = _appended(summary, range(end - counts[summary.key], end), created=created)
        if creating and (late := [key_of(row) for row in rows if row[APPEND_DUE]]):
            await self._make_up(late, landed)
        return landed

    async def _make_up(self, late: Sequence[Key], landed: dict[Key, Summary | None]) -> None:
        """Moves the expiry of new sessions that waited for another INSERT, so that they live their whole TTL."""
        moved = await self._fetching.batch(self._statements.touch, map(key_fields, late), writing=True)
        for row in moved:
            if (summary := landed[key_of(row)]) is not None:
                landed[summary.key] = summary._replace(expires_at=row[3])

    async def _settle(self) -> None:
        """Finds out which lost appends have landed. The others cannot land from now on, and become pending again.

        Raises:
            UpdateOutcomeUnknownError: Another transaction holds the row of a lost append, perhaps the transaction of
                the append itself.
        """
        assert self._error is not None
        if self._statements.one_writer:  # SQLite has no statement that settles appends
            self.results |= {key: copy_of(self._error) for key in self._lost}
            self._lost.clear()
            return
        drafts = [append.create for append in self._lost.values() if append.creates]
        if versions := [draft.version for draft in drafts if draft is not None]:
            await prevent(versions, self._statements, self._fetching)
        fields = [key_fields(key) | {"append_id": append.id} for key, append in self._lost.items()]
        await self._fetching.batch(self._statements.use_up_appends, fields, writing=True)
        rows = await self._fetching.batch(self._statements.settled_appends, fields, writing=False)
        found = {key_of(row): row for row in rows}
        for key, append in list(self._lost.items()):
            if key not in found:
                if append.creates:  # the session was not created, or was deleted since
                    self._pending[key] = append.anew()
                else:  # the session is gone, and with it every trace of the append
                    self.results[key] = copy_of(self._error)
                del self._lost[key]
                continue
            sent = self._sending.get(key)
            fate, result = _fate(append, found[key])
            if sent is not None:
                result = sent.result
                replaced = sent.result.created and summary_of(found[key]).created_at != result.created_at
                # A later append may have removed the items of this one, so their absence proves nothing.
                if append.keep is not None and not replaced:
                    fate = fate_of(sent.row, append.id, found[key])
            if fate is None:
                continue
            if fate is Fate.UNTOLD:
                self.results[key] = copy_of(self._error)
            elif fate is Fate.NOT_LANDED:
                self._pending[key] = append.anew()
            else:
                created = append.create is not None and started_at(result.version, append.create.version)
                self.results[key] = result._replace(created=created)
            del self._lost[key]
        if self._lost:
            raise copy_of(self._error)


def _fate(append: Append, row: Row) -> tuple[Fate | None, Summary]:
    """Returns the fate of a lost plain append (None: it may still land), and the session after the append."""
    summary, (appends, lost_appends, first) = summary_of(row), row[-3:]
    if MARK + append.id in lost_appends:
        return Fate.NOT_LANDED, summary
    if (at := appended_at(appends, append.id, summary.last_position)) is not None:
        return Fate.LANDED, _appended(summary, range(at[0], at[1] + 1))
    # Later changes have pushed the entry out of the journal, but the first item still has the id of the append.
    if first is not None:
        return Fate.LANDED, _appended(summary, range(first, first + len(append.items)))
    return None, summary


def has_id_already(error: StorageError, *given: Iterable[NewItem]) -> bool:
    """Returns whether the error may say that a session has the id of a given item already. Nothing was written."""
    return error.code == UNIQUE_VIOLATION and any(item.id is not None for items in given for item in items)


def refusal_of(error: StorageError) -> StorageError:
    """Returns the error to raise for a statement that inserts items: its own, or one that tells of dropped items."""
    return items_not_kept() if error.code == DIVISION_BY_ZERO else error


def _appended(summary: Summary, positions: Sequence[int], *, created: bool = False) -> Summary:
    return summary._replace(appended=positions, created=created)

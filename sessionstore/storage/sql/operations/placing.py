"""Puts items into sessions, in an open transaction that has locked the rows of the sessions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ....errors import StorageError
from ... import Key, NewItem, Summary, Write
from ...items import check_new
from ...journal import APPENDS_CHARS, append_entry, appended_at
from ..connections.lease import Lease
from ..drivers.driver import Row
from ..statements.compiled import Pair, Statements
from ..statements.fields import Fields, item_fields, key_fields, write_fields
from ..statements.rows import Locked, key_of, written
from .answers import not_kept
from .fetching import Fetching, check_keys


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the items of one session.

    Attributes:
        locked: The row of the session.
        id: The id of the change in the journal.
        items: The items to append.
        keep: How many items each log in ``items`` keeps; None: all.
        keys: The idempotency keys that the row keeps from now on; None: unchanged.
        write: The write of the state that lands with the items; None: the state stays.
        removed: How many items this transaction has removed from the session.
    """

    locked: Locked
    id: str
    items: Sequence[NewItem] = ()
    keep: int | None = None
    keys: str | None = None
    write: Write | None = None
    removed: int = 0

    @property
    def key(self) -> Key:
        """The session."""
        return self.locked.summary.key


class Placing:
    """Puts items into sessions.

    Args:
        statements: The statements of the storage.
        fetching: Chooses the form of a statement and its parameters.
    """

    def __init__(self, statements: Statements, fetching: Fetching) -> None:
        self._statements = statements
        self._fetching = fetching

    async def place(self, changes: Sequence[Change], lease: Lease) -> dict[Key, Summary]:
        """Makes changes, one for each session, and returns the summary of each session after its change.

        Raises:
            SessionConflictError: A session has the id of an item that has to be new.
            StorageError: The database dropped a part of a change.
        """
        if not changes:
            return {}
        now = max(change.locked.now for change in changes)
        present = await self._present(changes, lease)
        positions = {
            change.key: positions_of(change.items, present[change.key], change.locked.summary.last_position)
            for change in changes
        }
        for change in changes:
            check_new(change.key.session_id, change.items, positions[change.key])
        await self._add(changes, positions, lease, now)
        trimmed = await self._trim(changes, lease)
        after = {
            change.key: _after(change, positions[change.key], trimmed[change.key])._replace(
                updated_at=now, last_accessed_at=now
            )
            for change in changes
        }
        rows = await self._count([change for change in changes if change.write is None], after, lease, now)
        rows += await self._write([change for change in changes if change.write is not None], after, lease, now)
        expiries = {key_of(row): row[2] for row in rows}
        if dropped := [key for key in after if key not in expiries]:
            raise not_kept(dropped)
        return {key: summary._replace(expires_at=expiries[key]) for key, summary in after.items()}

    async def rewrite(self, writes: Sequence[Write], lease: Lease) -> dict[Key, Summary]:
        """Writes states without items, and returns the summary of each session that was written."""
        if not writes:
            return {}
        asked = list(map(write_fields, writes))
        statement, params = self._fetching.bound(self._statements.update, asked)
        # Range-checked from the start: after a failed statement, the transaction would refuse all further statements.
        rows = await lease.fetch(statement.range_checked, params)
        check_keys(rows, asked)
        by_key = {write.read.key: write for write in writes}
        return {key_of(row): written(by_key[key_of(row)], row) for row in rows}

    async def landed(self, change: Change, lease: Lease) -> Summary:
        """Returns the summary for a change that the session has already, with the positions of its items."""
        summary = change.locked.summary
        at = appended_at(change.locked.appends, change.id, summary.last_position)
        present = (await self._present([change], lease))[change.key]
        first = summary.last_position + 1 if at is None else at[0]
        before = {item_id: position for item_id, position in present.items() if position < first}
        return summary._replace(appended=positions_of(change.items, before, first - 1))

    async def _present(self, changes: Iterable[Change], lease: Lease) -> Mapping[Key, Mapping[str, int]]:
        """Returns which of the new items' ids each session has already, with the positions of the items there."""
        given = [
            key_fields(change.key) | {"item_id": item.id}
            for change in changes
            for item in change.items
            if item.id is not None
        ]
        present: dict[Key, dict[str, int]] = defaultdict(dict)
        if given:
            for row in await self._fetch(self._statements.present_items, given, lease):
                present[key_of(row)][row[2]] = row[3]
        return present

    async def _add(
        self, changes: Iterable[Change], positions: Mapping[Key, Sequence[int | None]], lease: Lease, now: datetime
    ) -> None:
        added: list[Fields] = []
        for change in changes:
            # The first item keeps the id of the change. So a lost change is found even after its entry in the journal
            # was pushed out.
            name: str | None = change.id
            for item, position in zip(change.items, positions[change.key], strict=True):
                if position is not None:
                    added.append(item_fields(change.key, item, position, name))
                    name = None
        if added and len(await self._fetch(self._statements.add_items, added, lease, now)) < len(added):
            raise items_not_kept()

    async def _trim(self, changes: Iterable[Change], lease: Lease) -> Counter[Key]:
        """Removes the oldest items of each log that has a limit, and returns how many items each session lost."""
        logs: dict[int, list[Fields]] = defaultdict(list)
        for change in changes:
            if change.keep is not None:
                names = sorted({item.log for item in change.items})
                logs[change.keep] += (key_fields(change.key) | {"log": name} for name in names)
        trimmed: Counter[Key] = Counter()
        for keep, of_keep in logs.items():
            trimmed.update(map(key_of, await self.trim(of_keep, keep, lease)))
        return trimmed

    async def trim(self, logs: Collection[Fields], keep: int, lease: Lease) -> Sequence[Row]:
        """Removes all items of each log except the newest ``keep`` ones, and returns a row for each removed item."""
        statement, params = self._fetching.bound(self._statements.trim_items, logs)
        return await lease.fetch(statement, params | {"kept": keep})

    async def _count(
        self, changes: Sequence[Change], after: Mapping[Key, Summary], lease: Lease, now: datetime
    ) -> list[Row]:
        fields = [key_fields(change.key) | {"keys": change.keys} | _counters(change, after) for change in changes]
        return await self._changed(self._statements.count_items, fields, lease, now)

    async def _write(
        self, changes: Sequence[Change], after: Mapping[Key, Summary], lease: Lease, now: datetime
    ) -> list[Row]:
        fields = [
            write_fields(change.write) | _counters(change, after) for change in changes if change.write is not None
        ]
        return await self._changed(self._statements.write_with_items, fields, lease, now)

    async def _changed(self, pair: Pair, fields: Sequence[Fields], lease: Lease, now: datetime) -> list[Row]:
        if not fields:
            return []
        rows = await self._fetch(pair, fields, lease, now)
        check_keys(rows, fields)
        return list(rows)

    async def _fetch(
        self, pair: Pair, fields: Sequence[Fields], lease: Lease, now: datetime | None = None
    ) -> Sequence[Row]:
        statement, params = self._fetching.bound(pair, fields, now)
        return await lease.fetch(statement, params)


def as_read(write: Write, row: Locked) -> bool:
    """Whether a row still has the version, the last write and the idempotency keys that a write was based on."""
    summary = row.summary
    same = (summary.version, summary.last_write) == (write.read.version, write.read.last_write)
    return same and write.keys_read in (None, row.keys)


def changes_of(writes: Iterable[Write], locked: Mapping[Key, Locked]) -> list[Change]:
    """Returns the changes of the writes that have items and whose locked rows are still as they were read."""
    return [
        Change(row, write.id, write.items, write.keep, write=write)
        for write in writes
        if write.items and (row := locked.get(write.read.key)) is not None and as_read(write, row)
    ]


def positions_of(items: Iterable[NewItem], present: Collection[str], last: int) -> Sequence[int | None]:
    """Returns the position of each item; None: the item is passed over, because the session has its id.

    Args:
        items: The items.
        present: The ids that the session has.
        last: The last position before the items.
    """
    ids = set(present)
    positions: list[int | None] = []
    for item in items:
        if item.id is not None and item.id in ids:
            positions.append(None)
            continue
        if item.id is not None:
            ids.add(item.id)
        last += 1
        positions.append(last)
    return positions


def items_not_kept() -> StorageError:
    """Makes the error for items that the database accepted but did not keep."""
    return StorageError(
        "the database did not keep items that were written, and gave no error: a trigger of the table 'items' that "
        "returns NULL, a rule or row level security dropped them; remove that, or let it allow this role's writes"
    )


def _after(change: Change, positions: Sequence[int | None], trimmed: int) -> Summary:
    """Returns the summary after a change, apart from its times."""
    summary, write = change.locked.summary, change.write
    taken = _taken(positions)
    after = summary._replace(
        last_position=summary.last_position + taken,
        item_count=summary.item_count + taken - trimmed - change.removed,
        appended=positions,
    )
    return after if write is None else after._replace(version=summary.version + write.count, last_write=write.id)


def _counters(change: Change, after: Mapping[Key, Summary]) -> Fields:
    summary = after[change.key]
    entry = append_entry(change.id, _taken(summary.appended))
    return {
        "last_position": summary.last_position,
        "item_count": summary.item_count,
        "appends": (entry + change.locked.appends)[:APPENDS_CHARS],
    }


def _taken(positions: Iterable[int | None]) -> int:
    return sum(position is not None for position in positions)

"""Changes of items in a transaction, statement by statement, under the locks of the sessions' rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import Enum, auto
from typing import Generic, NamedTuple, TypeVar

from ... import Append, Draft, Edit, Edited, Key, StoredItem, Summary, Write
from ...journal import APPEND_CHARS, APPENDS_CHARS, MARK, Fate, new_write_id, with_key
from ..connections.gateway import Gateway
from ..connections.lease import Lease
from ..connections.limits import LOCKING_SECONDS
from ..drivers.driver import Row
from ..statements.fields import Fields, draft_fields, key_fields, unique
from ..statements.rows import CREATED, Locked, key_of, locked_of, newly_locked, summary_of, with_summary
from .fetching import Fetching, check_keys
from .placing import Change, Placing, changes_of

R = TypeVar("R")


class Held(Enum):
    """The answer to an edit of a session whose row another transaction holds."""

    HELD = auto()


class Done(NamedTuple, Generic[R]):
    """The effect of a change, recorded before its transaction commits: the row before the change, and the result."""

    row: Locked
    result: R


class Changes:
    """Appends, edits, and updates with items.

    Skips rows that other transactions hold.

    Args:
        gateway: Runs operations on the database's connections.
        fetching: Chooses the form of a statement and its parameters.
    """

    def __init__(self, gateway: Gateway, fetching: Fetching) -> None:
        self._gateway = gateway
        self._fetching = fetching
        self._statements = gateway.statements
        self._placing = Placing(gateway.statements, fetching)

    async def append(
        self, appends: Sequence[Append], sending: dict[Key, Done[Summary]], *, waiting: bool = False
    ) -> Mapping[Key, Summary | None]:
        """Appends items, all appends or none. A key must not come twice.

        Args:
            appends: The appends.
            sending: Receives the effect of each append before the transaction commits. If the answer of the commit is
                lost, only these appends may have landed.
            waiting: Whether the transaction waits for the locks of the rows.

        Returns:
            The summary of each session; None: its append was refused. A session whose row another transaction holds is
            missing.
        """

        async def operation(lease: Lease) -> dict[Key, Summary | None]:
            sending.clear()
            async with self._gateway.transaction(lease):
                keys = [append.key for append in appends]
                if waiting:
                    await self._wait(keys, lease)
                locked = await self._lock(keys, lease)
                held = await self._held([key for key in keys if key not in locked], lease)
                absent = [append for append in appends if append.key not in locked and append.key not in held]
                made, found = await self._create([append for append in absent if append.creates], lease)
                locked |= made
                answers: dict[Key, Summary | None] = {key: None for key in keys if key not in (*held, *found)}
                changes: list[Change] = []
                for append in appends:
                    if (row := locked.get(append.key)) is None:
                        continue
                    if MARK + append.id in row.appends:
                        answers[append.key] = await self._placing.landed(Change(row, append.id, append.items), lease)
                    elif (change := _accepted(append, row)) is not None:
                        changes.append(change)
                placed = await self._placing.place(changes, lease)
                placed = {key: summary._replace(created=key in made) for key, summary in placed.items()}
                sending.update({key: Done(locked[key], summary) for key, summary in placed.items()})
            return answers | placed

        return await self._gateway.run(operation, writing=True, longer=LOCKING_SECONDS)

    async def _create(self, appends: Sequence[Append], lease: Lease) -> tuple[dict[Key, Locked], Collection[Key]]:
        """Creates the sessions of appends. Returns the new rows, and the keys that other transactions have taken."""
        asked = [draft_fields(append.create) for append in appends if append.create is not None]
        if not asked:
            return {}, ()
        statement, params = self._fetching.bound(self._statements.create, asked)
        rows = await statement.fetch(lease.driver, params)
        check_keys(rows, asked)
        made = {key_of(row): newly_locked(row) for row in rows if row[CREATED]}
        return made, [append.key for append in appends if append.key not in made]

    async def update(self, writes: Sequence[Write]) -> Mapping[Key, Summary]:
        """Writes states with their items. Writes without items land as in the statement `update`.

        Returns:
            The summary of each session that was written.
        """

        async def operation(lease: Lease) -> dict[Key, Summary]:
            async with self._gateway.transaction(lease):
                locked = await self._lock([write.read.key for write in writes], lease)
                plain = [write for write in writes if not write.items and write.read.key in locked]
                landed = await self._placing.rewrite(plain, lease)
                return landed | await self._placing.place(changes_of(writes, locked), lease)

        return await self._gateway.run(operation, writing=True, longer=LOCKING_SECONDS)

    async def create(self, drafts: Sequence[Draft]) -> Sequence[Row]:
        """Creates sessions with their first items. Returns rows of the statement `create`."""

        async def operation(lease: Lease) -> Sequence[Row]:
            async with self._gateway.transaction(lease):
                asked = list(map(draft_fields, drafts))
                statement, params = self._fetching.bound(self._statements.create, asked)
                rows = await lease.fetch(statement, params)
                check_keys(rows, asked)
                made = {key_of(row): newly_locked(row) for row in rows if row[CREATED]}
                changes = [
                    Change(made[draft.key], new_write_id(), draft.items, draft.keep)
                    for draft in drafts
                    if draft.items and draft.key in made
                ]
                placed = await self._placing.place(changes, lease)
                return [with_summary(row, placed[key]) if (key := key_of(row)) in placed else row for row in rows]

        return await self._gateway.run(operation, writing=True, longer=LOCKING_SECONDS)

    async def edit(
        self, edit: Edit, sending: dict[Key, Done[Edited]], *, waiting: bool = False
    ) -> Edited | None | Held:
        """Removes or replaces items.

        Args:
            edit: The edit.
            sending: Receives the effect of the edit before its transaction commits.
            waiting: Whether the transaction waits for the lock of the row.

        Returns:
            The result. HELD: another transaction holds the row. None: there is no live session, or it has another
            owner.
        """

        async def operation(lease: Lease) -> Edited | None | Held:
            sending.clear()
            async with self._gateway.transaction(lease):
                if waiting:
                    await self._wait([edit.key], lease)
                row = (await self._lock([edit.key], lease)).get(edit.key)
                if row is None:
                    return Held.HELD if await self._held([edit.key], lease) else None
                if edit.owner_id not in (None, row.summary.owner_id):
                    return None
                if not edit.suits(row.summary):
                    return Edited(row.summary, done=False)
                edited = await self._edit(edit, row, lease)
                sending[edit.key] = Done(row, edited)
            return edited

        return await self._gateway.run(operation, writing=True, longer=LOCKING_SECONDS)

    async def _edit(self, edit: Edit, row: Locked, lease: Lease) -> Edited:
        changed, popped = await self._remove(edit, lease)
        if edit.newest and not changed and (unknown := await self._unknown(edit, lease)):
            return Edited(row.summary, done=False, removed=unknown)
        removed = 0 if edit.put is not None else changed
        keep = None if edit.after is None else edit.keep
        change = Change(row, edit.id, edit.items, keep, removed=removed)
        summary = (await self._placing.place([change], lease))[edit.key]
        return Edited(summary, done=True, changed=changed, removed=popped)

    async def _remove(self, edit: Edit, lease: Lease) -> tuple[int, Sequence[StoredItem]]:
        """Removes or replaces items, and returns how many, and the items that `newest` removed."""
        log: Fields = key_fields(edit.key) | {"log": edit.log}
        statements = self._statements
        if edit.put is not None:
            position, text = edit.put
            fields = log | {"position": position, "item": text, "item_version": edit.put_version}
            return len(await lease.fetch(statements.put_item, fields)), ()
        if edit.newest is not None:
            fields = log | {"kept": edit.newest, "known": edit.known}
            rows = await lease.fetch(statements.pop_items, fields)
            return len(rows), [StoredItem(*row) for row in sorted(rows, key=lambda row: row[0])]
        if edit.after is not None:
            changed = len(await lease.fetch(statements.cut_items, log | {"position": edit.after}))
            if edit.keep is not None and not edit.items:  # with items to append, place() trims their logs
                changed += len(await self._placing.trim([log], edit.keep, lease))
            return changed, ()
        if edit.keep is not None:
            return len(await self._placing.trim([log], edit.keep, lease)), ()
        return 0, ()

    async def _unknown(self, edit: Edit, lease: Lease) -> Sequence[StoredItem]:
        """Returns one of the newest items that the caller cannot read. If there is one, no item was removed."""
        if edit.known is None:
            return ()
        fields = key_fields(edit.key) | {"log": edit.log, "kept": edit.newest, "known": edit.known}
        rows = await lease.fetch(self._statements.unknown_items, fields)
        return [StoredItem(*row) for row in rows]

    async def _wait(self, keys: Collection[Key], lease: Lease) -> None:
        """Locks the rows as soon as other transactions leave them, within the lock timeout of the transaction."""
        statement, params = self._fetching.bound(self._statements.get_locked, list(unique(keys)))
        await lease.fetch(statement, params)

    async def _lock(self, keys: Collection[Key], lease: Lease) -> dict[Key, Locked]:
        """Locks the rows of the live sessions that no other transaction holds."""
        rows = await self._fetch(keys, lease, locking=True)
        return {key_of(row): locked_of(row) for row in rows}

    async def _held(self, keys: Collection[Key], lease: Lease) -> Collection[Key]:
        """Returns the keys of live sessions among keys that could not be locked: other transactions hold their rows."""
        return set(map(key_of, await self._fetch(keys, lease, locking=False))) if keys else ()

    async def _fetch(self, keys: Collection[Key], lease: Lease, *, locking: bool) -> Sequence[Row]:
        asked = list(unique(keys))
        statement, params = self._fetching.bound(self._statements.lock if locking else self._statements.exists, asked)
        rows = await lease.fetch(statement, params)
        check_keys(rows, asked)
        return rows


def _accepted(append: Append, row: Locked) -> Change | None:
    """Returns the change that an append makes; None: the row does not meet the conditions of the append."""
    if MARK + append.id in row.lost_appends or not append.suits(row.summary, row.keys):
        return None
    keys = None if append.digest is None else with_key(row.keys, append.digest, append.keys)
    return Change(row, append.id, append.items, append.keep, keys)


def fate_of(row: Locked, change_id: str, found: Row) -> Fate | None:
    """Returns the fate of a change whose answer was lost; None: it may still land.

    Args:
        row: The row before the change.
        change_id: The id of the change.
        found: The row of the statement `settled_appends`, after `use_up_appends`.
    """
    summary, (appends, lost_appends, first) = summary_of(found), found[-3:]
    if MARK + change_id in appends or first is not None:
        return Fate.LANDED
    newest = row.appends[:APPEND_CHARS]
    # Whether the journal still has all changes since `row`. If not, it may have lost the entry of this change.
    complete = newest in appends if newest else len(appends) < APPENDS_CHARS
    if summary.created_at != row.summary.created_at or not complete:
        return Fate.UNTOLD
    return Fate.NOT_LANDED if MARK + change_id in lost_appends else None

"""The storage provider on PostgreSQL and SQLite: batches become statements, and rows come back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from ...batching import BATCH_CHARS, Batching
from ...concurrency.combine import Combiner
from ...concurrency.halves import by_key
from ...concurrency.loops import PerLoop
from ...errors import StorageUnavailableError, UpdateOutcomeUnknownError
from ...ids import check_filters
from .. import (
    Apply,
    Clock,
    Creation,
    Document,
    Draft,
    Key,
    Owners,
    Page,
    Purge,
    Stats,
    StorageProvider,
    Summary,
    Write,
    check_limit,
    owned,
)
from .connections.engine import make_bounded_engine
from .connections.gateway import Gateway
from .connections.limits import Limits
from .drivers.driver import Row
from .operations.answers import not_kept
from .operations.creations import Creations
from .operations.deletions import Deletions
from .operations.fetching import Fetching
from .operations.late import LateAccesses
from .operations.locked import LockedUpdates
from .operations.rounds import Rounds
from .operations.settings import settled
from .statements.rows import (
    DUE,
    OWNER_ID,
    accessed,
    deletion_fields,
    document_of,
    draft_fields,
    key_fields,
    key_of,
    set_fields,
    summary_of,
    unique,
    write_fields,
    written,
)
from .statements.scope import Scope
from .tables import FIRST_INSTANT, micros

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")

_BATCHING: Final = Batching()
_UNLIMITED: Final = 1 << 30
_MIN_PARALLEL: Final = 64
"""How many sessions make a batch that goes beside another one. Reads wait for no disk: smaller ones gain nothing."""
_CLEAR_BATCH: Final = 5000
_RECEIPTS: Final = timedelta(hours=1)
"""How long a deletion is remembered, for a caller who lost the answer."""


class SqlStorageProvider(StorageProvider):
    """Keeps sessions in a table that the migrations made.

    A call is one round trip, two where an expiry has to be moved; no transaction stays open between calls. The first
    call checks that the schema is the one that this version works with.

    Args:
        engine: The service's own engine, for PostgreSQL or SQLite; it is never disposed here. open_storage() makes
            one that is tuned for this.
        schema: Where the tables are in PostgreSQL; SQLite has no schemas. None: ``SESSIONSTORE_SCHEMA``, else
            "sessionstore".
        clock: Gives the aware UTC now; None: the database's clock rules.
        batching: How reads, touches and updates that come at once go together; None: each goes by itself.

    Raises:
        ConfigurationError: An engine for another database, or a schema name that cannot be one.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        schema: str | None = None,
        clock: Clock | None = None,
        batching: Batching | None = _BATCHING,
        _owned: bool = False,
        _limits: Limits | None = None,
    ) -> None:
        self._gateway = Gateway(engine, schema=schema, owned=_owned, limits=_limits)
        self._statements = self._gateway.statements
        self.batching = batching
        self._fetching = Fetching(self._gateway, clock)
        self._late = PerLoop(lambda: LateAccesses(self._move_late))
        self._gets = {touch: self._combiner(partial(self._get_documents, touch=touch)) for touch in (False, True)}
        self._touches = self._combiner(self.touch_many, weighed=False)

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        schema: str | None = None,
        clock: Clock | None = None,
        batching: Batching | None = _BATCHING,
        **engine_options: Any,
    ) -> SqlStorageProvider:
        """Makes a provider with an engine of its own, which closing it disposes. See open_storage()."""
        engine, limits = make_bounded_engine(url, **engine_options)
        return cls(engine, schema=schema, clock=clock, batching=batching, _owned=True, _limits=limits)

    async def create_many(self, drafts: Sequence[Draft]) -> Sequence[Creation]:
        async def insert(pending: Iterable[Draft]) -> Sequence[Row]:
            return await self._fetching.batch(self._statements.create, map(draft_fields, pending), writing=True)

        async def access(rows: Sequence[Row], unread: Mapping[Key, Draft]) -> Mapping[Key, Document]:
            asked = {(draft.key, draft.owner_id) for draft in drafts}
            rows = [*rows, *await self._read(unread)]
            others = {key_of(row) for row in rows if not _may_access(row, asked)}
            found = {key: document_of(row) for row in rows if (key := key_of(row)) in others}
            return found | await self._access([row for row in rows if key_of(row) not in others])

        return await Creations(drafts, insert, access, Rounds(self._held)).made()

    async def get_many(
        self,
        keys: Sequence[Key],
        *,
        touch: bool = True,
        journal: bool = False,
        owners: Owners = None,
    ) -> Sequence[Document | None]:
        rows = await self._read(keys, journal=journal)
        if owners is not None:
            asked = set(zip(keys, owners, strict=True))
            rows = [row for row in rows if _may_access(row, asked)]
        found = await self._access(rows, journal=journal) if touch else {key_of(row): document_of(row) for row in rows}
        documents = [found.get(key) for key in keys]
        return documents if owners is None else list(map(owned, documents, owners))

    async def get(self, key: Key, *, touch: bool = True, owner_id: str | None = None) -> Document | None:
        return await self._gets[touch].call((key, owner_id), None)

    async def touch(self, key: Key) -> bool:
        return await self._touches.call(key, None)

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        # Whole or not at all: the update loop does what was refused again, and would do a half of it twice.
        rows = await self._fetching.batch(
            self._statements.update, map(write_fields, writes), writing=True, divisible=False
        )
        return _written(writes, rows)

    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        return await LockedUpdates(self._gateway, self._fetching).update(keys, apply) if keys else []

    async def delete_many(self, keys: Sequence[Key], *, owners: Owners = None) -> Sequence[bool]:
        if owners is not None and len(set(keys)) < len(keys):
            return [await self.delete(key, owner_id=owner_id) for key, owner_id in zip(keys, owners, strict=True)]
        owner_ids: Mapping[Key, str | None] = {} if owners is None else dict(zip(keys, owners, strict=True))

        async def delete(receipts: Mapping[Key, str]) -> Sequence[Row]:
            fields = (deletion_fields(key, receipt, owner_ids.get(key)) for key, receipt in receipts.items())
            return await self._fetching.batch(self._statements.delete, fields, writing=True)

        async def noted(receipts: Collection[str]) -> Sequence[Row]:
            fields = ({"receipt": receipt} for receipt in receipts)
            return await self._fetching.batch(self._statements.receipts, fields, writing=False, keyed=False)

        return await Deletions(keys, delete, noted, Rounds(self._held)).made()

    async def set_many(self, drafts: Sequence[Draft]) -> Sequence[Summary]:
        async def write(pending: Iterable[Draft]) -> Sequence[Row]:
            return await self._fetching.batch(self._statements.set, map(set_fields, pending), writing=True)

        summaries = await settled(drafts, write, self._move, Rounds(self._held))
        return [summaries[draft.key] for draft in drafts]

    async def exists_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        found = await self._due(keys)
        return [key in found for key in keys]

    async def touch_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        moved = await self._move(dict.fromkeys(keys))
        # The others need no move, or are held, or are gone.
        live = await self._due([key for key in keys if key not in moved])
        self._late.here().add(key for key, due in live.items() if due)
        return [key in moved or key in live for key in keys]

    async def list(
        self,
        namespace: str | None = None,
        *,
        prefix: str = "",
        owner_id: str | None = None,
        limit: int = 100,
        after: Key | None = None,
    ) -> Page:
        check_limit(limit)
        check_filters(namespace=namespace, prefix=prefix, owner_id=owner_id)
        scope = Scope(namespace, prefix, owner_id, after)
        page = self._statements.list(scope.conditions(self._gateway.table))
        # One more than asked for tells whether there is a next page.
        rows = await self._fetching.rows(page, scope.params() | {"limit": limit + 1}, writing=False)
        sessions = [summary_of(row) for row in rows[:limit]]
        return Page(sessions, sessions[-1].key if len(rows) > limit else None)

    async def clear(self, namespace: str | None = None, *, prefix: str = "") -> int:
        check_filters(namespace=namespace, prefix=prefix)
        scope = Scope(namespace, prefix)
        batch = self._statements.clear(scope.conditions(self._gateway.table))
        params = scope.params() | {"limit": _CLEAR_BATCH}
        total = 0
        rounds = Rounds(self._held)
        while True:
            counts = await self._fetching.rows(batch, params, writing=True)
            total += sum(int(row[1]) for row in counts)
            if any(row[0] for row in counts):
                rounds = Rounds(self._held)
            elif any(row[2] for row in counts):
                raise not_kept((), deleting=True)
            elif not any(row[3] for row in counts):
                return total
            else:
                # Others hold what is left.
                await rounds.pause(())

    async def purge_batch(
        self, *, limit: int = 5000, grace: timedelta = timedelta(0), since: datetime | None = None
    ) -> Purge:
        check_limit(limit)
        if since is None:
            await self._forget_receipts(limit)
        params = {"limit": limit, "grace": micros(grace), "since": since or FIRST_INSTANT}
        rows = [row for row in await self._fetching.rows(self._statements.purge, params, writing=True) if row[0]]
        last = max((row[1] for row in rows), default=None)
        return Purge(sum(int(row[0]) for row in rows), last, sum(int(row[2]) for row in rows))

    async def count_expired(self, *, grace: timedelta = timedelta(0), since: datetime | None = None) -> int:
        params = {"grace": micros(grace), "since": since or FIRST_INSTANT}
        ((count,),) = await self._fetching.rows(self._statements.count_expired, params, writing=False)
        return int(count)

    async def stats(self, namespace: str | None = None) -> Sequence[Stats]:
        check_filters(namespace=namespace)
        scope = Scope(namespace)
        counts = self._statements.stats(scope.conditions(self._gateway.table))
        return [Stats(*row) for row in await self._fetching.rows(counts, scope.params(), writing=False)]

    async def close(self) -> None:
        for late in self._late.all().values():
            await late.close()
        await self._gateway.close()

    def _combiner(
        self, many: Callable[[Sequence[K]], Awaitable[Sequence[R]]], *, weighed: bool = True
    ) -> Combiner[K, None, R]:
        batching = self.batching or Batching(size=1, concurrency=_UNLIMITED)
        return Combiner(
            by_key(many),
            size=batching.size,
            concurrency=batching.concurrency,
            min_parallel=_MIN_PARALLEL,
            alone=False,
            weighed=weighed,
        )

    async def _forget_receipts(self, limit: int) -> None:
        statement = self._statements.forget_receipts
        while statement is not None:
            forgotten = await self._fetching.rows(statement, {"limit": limit, "grace": micros(_RECEIPTS)}, writing=True)
            if len(forgotten) < limit:
                return

    async def _get_documents(
        self, asked: Sequence[tuple[Key, str | None]], *, touch: bool
    ) -> Sequence[Document | None]:
        """get_many() of those who come at once, each for an owner or for any."""
        owners = [owner_id for _, owner_id in asked]
        known = owners if any(owner_id is not None for owner_id in owners) else None
        documents = await self.get_many([key for key, _ in asked], touch=touch, owners=known)
        self._gets[touch].fit([len(document.state) for document in documents if document is not None], BATCH_CHARS)
        return documents

    async def _read(self, keys: Iterable[Key], *, journal: bool = False) -> Sequence[Row]:
        statement = self._statements.get_with_journal if journal else self._statements.get
        return await self._fetching.batch(statement, unique(keys), writing=False)

    async def _due(self, keys: Iterable[Key]) -> dict[Key, bool]:
        """The live ones, and whether their expiry has to be moved by an access."""
        rows = await self._fetching.batch(self._statements.exists, unique(keys), writing=False)
        return {key_of(row): bool(row[2]) for row in rows}

    async def _move(
        self, keys: Collection[Key], *, access: bool = False
    ) -> dict[Key, tuple[datetime, datetime | None]]:
        """Moves the expiry of those that are due and that nobody holds: when they were accessed, and their expiry."""
        rows = await self._fetching.batch(self._statements.touch, map(key_fields, keys), writing=True, access=access)
        return {key_of(row): (row[2], row[3]) for row in rows}

    async def _move_late(self, keys: Collection[Key]) -> Collection[Key]:
        moved = await self._move(keys, access=True)
        due = await self._due([key for key in keys if key not in moved])
        return [key for key, is_due in due.items() if is_due]

    async def _held(self, keys: Collection[Key]) -> Collection[Key]:
        rows = await self._fetching.batch(self._statements.held, map(key_fields, keys), writing=True)
        return [key_of(row) for row in rows]

    async def _access(self, rows: Sequence[Row], *, journal: bool = False) -> dict[Key, Document]:
        """The documents of rows just read, as an access leaves them: moves the expiry of those that are due.

        Where somebody else holds a row, or where the server only reads or was lost meanwhile, the document is the
        answer as it was read, and the access is made up for later.
        """
        found = {key_of(row): accessed(row) for row in rows}
        if not (due := [key_of(row) for row in rows if row[DUE]]):
            return found
        late = self._late.here()
        due = [key for key in due if key not in late]
        moving = self._move(due, access=True)
        try:
            moved = (await late.soon(moving) or {}) if self._statements.one_writer else await moving
        except (StorageUnavailableError, UpdateOutcomeUnknownError):
            late.add(due)
            return found
        for key, (last_accessed_at, expires_at) in moved.items():
            summary = found[key].summary._replace(last_accessed_at=last_accessed_at, expires_at=expires_at)
            found[key] = found[key]._replace(summary=summary)
        # The others were moved by somebody else, or are gone, or are held: only another look can tell.
        if others := [key for key in due if key not in moved]:
            again = await self._read(others, journal=journal)
            late.add(key_of(row) for row in again if row[DUE])
            for key in others:
                del found[key]
            found |= {key_of(row): accessed(row) for row in again}
        return found


def _may_access(row: Row, asked: Collection[tuple[Key, str | None]]) -> bool:
    """Whether somebody asked for the session of a row without naming an owner, or naming the right one."""
    key = key_of(row)
    return (key, None) in asked or (key, row[OWNER_ID]) in asked


def _written(writes: Sequence[Write], rows: Iterable[Row]) -> Sequence[Summary | None]:
    """What became of each write, from the rows that tell what landed."""
    landed = {key_of(row): row for row in rows}
    return [None if (row := landed.get(write.read.key)) is None else written(write, row) for write in writes]

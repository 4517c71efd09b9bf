"""The storage provider on PostgreSQL and SQLite: batches become statements, and rows come back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from ...batching import BATCH_CHARS, Batching
from ...combine import Combiner
from ...halves import by_key
from ...ids import check_filters
from .. import (
    Apply,
    Clock,
    Creation,
    Document,
    Draft,
    Key,
    Page,
    Purge,
    Stats,
    StorageProvider,
    Summary,
    Write,
    check_limit,
)
from .connections import Lease
from .creations import Creations
from .deletions import Deletions
from .drivers import Row
from .engine import make_engine
from .gateway import Gateway
from .prepared import Prepared
from .rows import (
    DUE,
    Fields,
    accessed,
    document_of,
    draft_fields,
    key_fields,
    key_of,
    packed,
    set_fields,
    summary_of,
    unique,
    write_fields,
    written,
)
from .scope import Scope
from .statements import Pair
from .tables import FIRST_INSTANT, micros

R = TypeVar("R")

_BATCHING: Final = Batching()
_UNLIMITED: Final = 1 << 30
_LOOKS: Final = 3
"""How often a session is looked at of which others move the expiry meanwhile, or a hand so that it cannot be moved."""
_WORTHWHILE: Final = 64
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
    ) -> None:
        self._gateway = Gateway(engine, schema=schema, owned=_owned)
        self._statements = self._gateway.statements
        self._clock = clock
        self.batching = batching
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
        return cls(make_engine(url, **engine_options), schema=schema, clock=clock, batching=batching, _owned=True)

    async def create_many(self, drafts: Sequence[Draft]) -> Sequence[Creation]:
        async def insert(pending: Iterable[Draft]) -> Sequence[Row]:
            return await self._fetch(self._statements.create, map(draft_fields, pending), writing=True)

        async def access(rows: Sequence[Row], keys: Collection[Key]) -> Mapping[Key, Document]:
            return await self._access([*rows, *await self._read(keys)])

        return await Creations(drafts, insert, access).made()

    async def get_many(
        self, keys: Sequence[Key], *, touch: bool = True, journal: bool = False
    ) -> Sequence[Document | None]:
        rows = await self._read(keys, journal=journal)
        found = await self._access(rows, journal=journal) if touch else {key_of(row): document_of(row) for row in rows}
        return [found.get(key) for key in keys]

    async def get(self, key: Key, *, touch: bool = True) -> Document | None:
        return await self._gets[touch].call(key, None)

    async def touch(self, key: Key) -> bool:
        return await self._touches.call(key, None)

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        rows = await self._fetch(self._statements.update, map(write_fields, writes), writing=True)
        return _written(writes, rows)

    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        async def operation(lease: Lease) -> Sequence[Summary | None] | Exception:
            async with self._gateway.transaction(lease):
                statement, params = self._bound(self._statements.get_locked, unique(keys))
                documents = map(document_of, await statement.fetch(lease.driver, params))
                try:
                    writes = [write for write in map(apply, documents) if write is not None]
                except Exception as error:  # noqa: BLE001
                    # The caller's own error, handed out as a value so that nobody takes it for one of the database.
                    return error
                if not writes:
                    return []
                statement, params = self._bound(self._statements.update, map(write_fields, writes))
                # Carefully: within a transaction, a statement that was refused cannot be followed by another one.
                return _written(writes, await statement.careful.fetch(lease.driver, params))

        outcome = await self._gateway.run(operation, writing=True) if keys else []
        if isinstance(outcome, Exception):
            raise outcome
        landed = {summary.key: summary for summary in outcome if summary is not None}
        return [landed.get(key) for key in keys]

    async def delete_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        async def delete(receipts: Mapping[Key, str]) -> Sequence[Row]:
            fields = (key_fields(key) | {"receipt": receipt} for key, receipt in receipts.items())
            return await self._fetch(self._statements.delete, fields, writing=True)

        async def noted(receipts: Collection[str]) -> Sequence[Row]:
            fields = ({"receipt": receipt} for receipt in receipts)
            return await self._fetch(self._statements.receipts, fields, writing=False)

        return await Deletions(keys, delete, noted).made()

    async def set_many(self, drafts: Sequence[Draft]) -> Sequence[Summary]:
        last = {draft.key: draft for draft in drafts}
        rows = await self._fetch(self._statements.set, map(set_fields, last.values()), writing=True)
        summaries = {summary.key: summary for summary in map(summary_of, rows)}
        return [summaries[draft.key] for draft in drafts]

    async def exists_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        found = set(map(key_of, await self._fetch(self._statements.exists, unique(keys), writing=False)))
        return [key in found for key in keys]

    async def touch_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        moved = set(map(key_of, await self._fetch(self._statements.touch, unique(keys), writing=True)))
        # The others need no move or are gone.
        others = [key for key in keys if key not in moved]
        live = dict(zip(others, await self.exists_many(others), strict=True))
        return [key in moved or live[key] for key in keys]

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
        rows = await self._rows(page, scope.params() | {"limit": limit + 1}, writing=False)
        sessions = [summary_of(row) for row in rows[:limit]]
        return Page(sessions, sessions[-1].key if len(rows) > limit else None)

    async def clear(self, namespace: str | None = None, *, prefix: str = "") -> int:
        check_filters(namespace=namespace, prefix=prefix)
        scope = Scope(namespace, prefix)
        batch = self._statements.clear(scope.conditions(self._gateway.table))
        params = scope.params() | {"limit": _CLEAR_BATCH}
        total = 0
        while True:
            counts = await self._rows(batch, params, writing=True)
            total += sum(int(live) for _, live in counts)
            if not sum(deleted for deleted, _ in counts):
                return total

    async def purge_batch(
        self, *, limit: int = 5000, grace: timedelta = timedelta(0), since: datetime | None = None
    ) -> Purge:
        check_limit(limit)
        if since is None:
            await self._forget_receipts(limit)
        params = {"limit": limit, "grace": micros(grace), "since": since or FIRST_INSTANT}
        rows = [row for row in await self._rows(self._statements.purge, params, writing=True) if row[0]]
        last = max((row[1] for row in rows), default=None)
        return Purge(sum(int(row[0]) for row in rows), last, sum(int(row[2]) for row in rows))

    async def count_expired(self, *, grace: timedelta = timedelta(0), since: datetime | None = None) -> int:
        params = {"grace": micros(grace), "since": since or FIRST_INSTANT}
        ((count,),) = await self._rows(self._statements.count_expired, params, writing=False)
        return int(count)

    async def stats(self, namespace: str | None = None) -> Sequence[Stats]:
        check_filters(namespace=namespace)
        scope = Scope(namespace)
        counts = self._statements.stats(scope.conditions(self._gateway.table))
        return [Stats(*row) for row in await self._rows(counts, scope.params(), writing=False)]

    async def close(self) -> None:
        await self._gateway.close()

    def _combiner(
        self, many: Callable[[Sequence[Key]], Awaitable[Sequence[R]]], *, weighed: bool = True
    ) -> Combiner[Key, None, R]:
        batching = self.batching or Batching(size=1, places=_UNLIMITED)
        return Combiner(
            by_key(many),
            size=batching.size,
            places=batching.places,
            worthwhile=_WORTHWHILE,
            alone=False,
            weighed=weighed,
        )

    async def _forget_receipts(self, limit: int) -> None:
        statement = self._statements.forget_receipts
        while statement is not None:
            forgotten = await self._rows(statement, {"limit": limit, "grace": micros(_RECEIPTS)}, writing=True)
            if len(forgotten) < limit:
                return

    async def _get_documents(self, keys: Sequence[Key], *, touch: bool) -> Sequence[Document | None]:
        """get_many() of those who come at once."""
        documents = await self.get_many(keys, touch=touch)
        self._gets[touch].fit([len(document.state) for document in documents if document is not None], BATCH_CHARS)
        return documents

    async def _rows(self, statement: Prepared, params: Fields, *, writing: bool) -> Sequence[Row]:
        bound = self._dated(params)
        return await self._gateway.run(lambda lease: statement.fetch(lease.driver, bound), writing=writing)

    async def _fetch(self, pair: Pair, fields: Iterable[Fields], *, writing: bool) -> Sequence[Row]:
        """Runs a statement on a batch."""
        batch = list(fields)
        if not batch:
            return ()
        statement, bound = self._bound(pair, batch)
        return await self._gateway.run(lambda lease: statement.fetch(lease.driver, bound), writing=writing)

    def _bound(self, pair: Pair, fields: Iterable[Fields]) -> tuple[Prepared, Fields]:
        """The statement for a single row, or the one for many, with its parameters."""
        batch = list(fields)
        if len(batch) == 1:
            return pair.one, self._dated(batch[0])
        return pair.many, self._dated({"batch": packed(batch)})

    def _dated(self, params: Fields) -> Fields:
        return params | {"now": None if self._clock is None else self._clock()}

    async def _read(self, keys: Iterable[Key], *, journal: bool = False) -> Sequence[Row]:
        statement = self._statements.get_with_journal if journal else self._statements.get
        return await self._fetch(statement, unique(keys), writing=False)

    async def _access(self, rows: Sequence[Row], *, journal: bool = False) -> dict[Key, Document]:
        """The documents of rows just read, as an access leaves them: moves the expiry of those that are due."""
        found: dict[Key, Document] = {}
        looks = 0
        while rows:
            looks += 1
            read = {key_of(row): accessed(row) for row in rows}
            due = [key_of(row) for row in rows if row[DUE]]
            moved = await self._fetch(self._statements.touch, map(key_fields, due), writing=True)
            for namespace, session_id, last_accessed_at, expires_at in moved:
                key = Key(namespace, session_id)
                summary = read[key].summary._replace(last_accessed_at=last_accessed_at, expires_at=expires_at)
                read[key] = read[key]._replace(summary=summary)
                due.remove(key)
            if looks == _LOOKS:
                due = []
            # Whoever is due still was moved by somebody else, or is gone: only another look can tell.
            found |= {key: document for key, document in read.items() if key not in due}
            rows = await self._read(due, journal=journal)
        return found


def _written(writes: Sequence[Write], rows: Iterable[Row]) -> Sequence[Summary | None]:
    """What became of each write, from the rows that tell what landed."""
    landed = {key_of(row): row for row in rows}
    return [None if (row := landed.get(write.read.key)) is None else written(write, row) for write in writes]

"""The storage provider for PostgreSQL and SQLite: turns calls into the operations of `operations/`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import Any, Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from ...batching import BATCH_CHARS, Batching
from ...concurrency.combine import Combiner
from ...concurrency.halves import by_key
from ...errors import StorageError
from .. import (
    Append,
    Apply,
    Clock,
    Creation,
    Document,
    Draft,
    Edit,
    Edited,
    Fork,
    Found,
    Key,
    Order,
    Owners,
    Page,
    Place,
    Purge,
    Stats,
    StorageProvider,
    Summary,
    Versions,
    Window,
    Write,
    owned,
)
from ..items import chars_of
from .connections.engine import make_bounded_engine
from .connections.gateway import Gateway
from .connections.limits import Limits
from .drivers.driver import Row
from .operations.appends import Appends
from .operations.attempts import Told, Wanted
from .operations.changes import Changes
from .operations.creations import Creations
from .operations.deletions import Deletion, Deletions, deletions_of
from .operations.edits import Edits
from .operations.fetching import Fetching
from .operations.forks import Forking
from .operations.landing import Landing, has_id_already, refusal_of
from .operations.listing import Listing
from .operations.locked import LockedUpdates
from .operations.purging import Purging
from .operations.reads import Reads, may_access
from .operations.rounds import Rounds
from .operations.settings import settled
from .operations.together import Together, found, length_of, not_again
from .statements.rows import (
    document_of,
    key_of,
    set_fields,
    update_fields,
    write_fields,
    written,
)
from .statements.scope import Scope

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")

_BATCHING: Final = Batching()
_ONE_BY_ONE: Final = Batching(size=1, concurrency=1 << 30)
_WRITES: Final = 4
"""The smallest batch of creations or deletions that runs beside another one, while that one waits for the disk."""
_MIN_PARALLEL: Final = 64
"""The smallest batch of reads or touches that runs beside another one. Reads do not wait for the disk."""


class SqlStorageProvider(StorageProvider):
    """Stores sessions in PostgreSQL or SQLite, in the tables that the migrations make.

    A call takes one round trip, or two if it has to move an expiry. No transaction stays open between calls. The
    first call checks that the schema has the revision that this version of the library needs.

    Args:
        engine: The service's own engine, for PostgreSQL or SQLite. close() does not dispose it. open_storage() makes
            an engine with suitable settings instead.
        schema: The PostgreSQL schema of the tables; None: the environment variable ``SESSIONSTORE_SCHEMA``, else
            "sessionstore". SQLite has no schemas.
        clock: Returns the current time as an aware datetime in UTC; None: the database's clock.
        batching: How concurrent calls are batched; None: each call goes by itself.

    Raises:
        ConfigurationError: The engine is for another database, or the schema name is invalid.
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
        self._reads = Reads(self._statements, self._fetching)
        self._changes = Changes(self._gateway, self._fetching)
        self._listing = Listing(self._gateway, self._fetching)
        self._purging = Purging(self._gateway, self._fetching, self._reads.held)
        self._gets = {touch: self._combiner(partial(self._get_documents, touch=touch)) for touch in (False, True)}
        self._windows = {touch: self._combiner(partial(self._get_windows, touch=touch)) for touch in (False, True)}
        self._touches = self._combiner(self.touch_many, weighed=False)
        bounds = batching or _ONE_BY_ONE
        self._appends = Appends(self._landed, self._reads, batching=bounds)
        self._creates = Together(
            self._create_together,
            attrgetter("owner_id"),
            found,
            length_of,
            batching=bounds,
            min_parallel=_WRITES,
        )
        self._deletes = Together(
            self._delete_together,
            lambda wish: wish,
            not_again,
            lambda _: 0,
            batching=bounds,
            min_parallel=_WRITES,
        )

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
        """Makes a provider with an engine of its own, which close() disposes. See open_storage() for the arguments."""
        engine, limits = make_bounded_engine(url, **engine_options)
        return cls(engine, schema=schema, clock=clock, batching=batching, _owned=True, _limits=limits)

    async def create_many(self, drafts: Sequence[Draft]) -> Sequence[Creation]:
        return await self._creations(drafts).made()

    async def create(self, draft: Draft) -> Creation:
        return await self._creates.call(draft.key, draft)

    async def get_many(
        self,
        keys: Sequence[Key],
        *,
        touch: bool = True,
        journal: bool = False,
        owners: Owners = None,
        window: Window | None = None,
    ) -> Sequence[Document | None]:
        rows = await self._reads.read(keys, journal=journal, window=window)
        if owners is not None:
            asked = set(zip(keys, owners, strict=True))
            rows = [row for row in rows if may_access(row, asked)]
        if touch:
            found = await self._reads.access(rows, journal=journal, window=window)
        else:
            found = {key_of(row): document_of(row) for row in rows}
        documents = [found.get(key) for key in keys]
        return documents if owners is None else list(map(owned, documents, owners))

    async def get(
        self, key: Key, *, touch: bool = True, owner_id: str | None = None, window: Window | None = None
    ) -> Document | None:
        if window is None:
            return await self._gets[touch].call((key, owner_id), None)
        return await self._windows[touch].call((key, owner_id, window), None)

    async def touch(self, key: Key) -> bool:
        return await self._touches.call(key, None)

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        if not any(write.items for write in writes):
            # Not divisible: the update loop repeats a refused batch, and would write the first half twice.
            rows = await self._fetching.batch(
                self._statements.update, map(write_fields, writes), writing=True, divisible=False
            )
            return _written(writes, rows)
        if not self._statements.one_writer and all(write.keep is None for write in writes):
            try:
                rows = await self._fetching.batch(
                    self._statements.update_with_items, map(update_fields, writes), writing=True, divisible=False
                )
            except StorageError as error:
                if not has_id_already(error, *(write.items for write in writes)):
                    raise refusal_of(error) from error.__cause__
            else:
                return _written(writes, rows)
        landed = await self._changes.update(writes)
        return [landed.get(write.read.key) for write in writes]

    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        return await LockedUpdates(self._gateway, self._fetching).update(keys, apply) if keys else []

    async def append_many(self, appends: Sequence[Append]) -> Sequence[Summary | None]:
        return await self._appends.append_many(appends)

    async def append(self, append: Append) -> Summary | None:
        return await self._appends.append(append)

    async def edit_many(self, edits: Sequence[Edit]) -> Sequence[Edited | None]:
        return await Edits(self._changes, self._statements, self._fetching, self._reads).edit_many(edits)

    async def find_many(
        self, namespace: str, ids: Sequence[str], *, owner_id: str | None = None
    ) -> Sequence[Found | None]:
        return await self._listing.find(namespace, ids, owner_id)

    async def fork(self, fork: Fork) -> Creation | None:
        return await Forking(fork, self._gateway, self._fetching, self._reads).made()

    async def delete_many(
        self, keys: Sequence[Key], *, owners: Owners = None, versions: Versions = None
    ) -> Sequence[bool]:
        wishes = deletions_of(keys, owners, versions)
        if len(set(keys)) < len(keys) and len(set(wishes)) > 1:
            return [await self._deletes.call(key, wish) for key, wish in zip(keys, wishes, strict=True)]
        return await self._deletions(keys, dict(zip(keys, wishes, strict=True))).made()

    async def delete(self, key: Key, *, owner_id: str | None = None, version: int | None = None) -> bool:
        return await self._deletes.call(key, Deletion(owner_id, version))

    async def set_many(self, drafts: Sequence[Draft]) -> Sequence[Summary]:
        async def write(pending: Iterable[Draft]) -> Sequence[Row]:
            return await self._fetching.batch(self._statements.set, map(set_fields, pending), writing=True)

        summaries = await settled(drafts, write, self._reads.move, Rounds(self._reads.held))
        return [summaries[draft.key] for draft in drafts]

    async def exists_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        found = await self._reads.due(keys)
        return [key in found for key in keys]

    async def touch_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        live = await self._reads.touch(dict.fromkeys(keys))
        return [key in live for key in keys]

    async def list(
        self,
        namespace: str | None = None,
        *,
        prefix: str = "",
        owner_id: str | None = None,
        limit: int = 100,
        after: Key | Place | None = None,
        order: Order = "key",
        states: bool = False,
    ) -> Page:
        return await self._listing.page(Scope(namespace, prefix, owner_id, after), limit, order, states=states)

    async def stats(self, namespace: str | None = None) -> Sequence[Stats]:
        return await self._listing.stats(Scope(namespace))

    async def clear(self, namespace: str | None = None, *, prefix: str = "", owner_id: str | None = None) -> int:
        return await self._purging.clear(Scope(namespace, prefix, owner_id))

    async def purge_batch(
        self, *, limit: int = 5000, grace: timedelta = timedelta(0), since: datetime | None = None
    ) -> Purge:
        return await self._purging.purge(limit, grace, since)

    async def count_expired(self, *, grace: timedelta = timedelta(0), since: datetime | None = None) -> int:
        return await self._purging.count(grace, since)

    async def close(self) -> None:
        await self._reads.close()
        await self._gateway.close()

    def _landed(self, appends: Mapping[Key, Append], *, waiting: bool = False) -> Landing:
        changing = partial(self._changes.append, waiting=waiting)
        in_transaction = waiting or self._statements.one_writer
        return Landing(appends, self._statements, self._fetching, changing, in_transaction=in_transaction)

    def _creations(
        self, drafts: Sequence[Draft], told: Told[Creation] | None = None, wanted: Wanted | None = None
    ) -> Creations:
        return Creations(drafts, self._statements, self._fetching, self._reads, self._changes, told, wanted)

    async def _create_together(self, drafts: Mapping[Key, Draft], told: Told[Creation], wanted: Wanted) -> None:
        await self._creations(list(drafts.values()), told, wanted).run()

    def _deletions(
        self,
        keys: Sequence[Key],
        wishes: Mapping[Key, Deletion],
        told: Told[bool] | None = None,
        wanted: Wanted | None = None,
    ) -> Deletions:
        return Deletions(keys, wishes, self._statements, self._fetching, self._reads, told, wanted)

    async def _delete_together(self, wishes: Mapping[Key, Deletion], told: Told[bool], wanted: Wanted) -> None:
        await self._deletions(list(wishes), wishes, told, wanted).run()

    def _combiner(
        self, many: Callable[[Sequence[K]], Awaitable[Sequence[R]]], *, weighed: bool = True
    ) -> Combiner[K, None, R]:
        batching = self.batching or _ONE_BY_ONE
        return Combiner(
            by_key(many),
            size=batching.size,
            concurrency=batching.concurrency,
            min_parallel=_MIN_PARALLEL,
            alone=False,
            weighed=weighed,
        )

    async def _get_documents(
        self, asked: Sequence[tuple[Key, str | None]], *, touch: bool
    ) -> Sequence[Document | None]:
        """Reads the sessions that concurrent callers asked for, each with the owner that its caller named."""
        owners = [owner_id for _, owner_id in asked]
        known = owners if any(owner_id is not None for owner_id in owners) else None
        documents = await self.get_many([key for key, _ in asked], touch=touch, owners=known)
        self._gets[touch].fit([len(document.state) for document in documents if document is not None], BATCH_CHARS)
        return documents

    async def _get_windows(
        self, asked: Sequence[tuple[Key, str | None, Window]], *, touch: bool
    ) -> Sequence[Document | None]:
        """Reads sessions with items for concurrent callers: one statement for each window that they asked for."""
        found: dict[tuple[Key, str | None, Window], Document | None] = {}
        for window in dict.fromkeys(window for _, _, window in asked):
            calls = [call for call in asked if call[2] == window]
            keys, owners = [key for key, _, _ in calls], [owner_id for _, owner_id, _ in calls]
            documents = await self.get_many(keys, touch=touch, owners=owners, window=window)
            found |= dict(zip(calls, documents, strict=True))
        documents = [found[call] for call in asked]
        self._windows[touch].fit([_length_of(it) for it in documents if it is not None], BATCH_CHARS)
        return documents


def _length_of(document: Document) -> int:
    return len(document.state) + chars_of(document.items)


def _written(writes: Sequence[Write], rows: Iterable[Row]) -> Sequence[Summary | None]:
    """Returns the summary after each write, from the returned rows; None: the write did not land."""
    landed = {key_of(row): row for row in rows}
    return [None if (row := landed.get(write.read.key)) is None else written(write, row) for write in writes]

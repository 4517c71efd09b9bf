"""The storage provider for PostgreSQL and SQLite: turns calls into the operations of `operations/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from ...batching import Batching, check_batching
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
    LogNames,
    Order,
    Owners,
    Page,
    Place,
    Purge,
    Stats,
    StorageProvider,
    Summary,
    Use,
    Versions,
    Window,
    Write,
    check_use,
    owned,
)
from ..reshaping import OutdatedItem, Rewrite
from .connections.engine import make_bounded_engine
from .connections.gateway import Gateway
from .connections.lease import Lease
from .connections.limits import Limits
from .operations.appends import Appends
from .operations.changes import Changes
from .operations.creating import Creating
from .operations.deleting import Deleting
from .operations.deletions import Deletion
from .operations.edits import Edits
from .operations.fetching import Fetching
from .operations.forks import Forking
from .operations.landing import Landing
from .operations.listing import Listing
from .operations.locked import LockedUpdates
from .operations.purging import Purging
from .operations.reads import Reads, may_access
from .operations.recent import RecentSessions
from .operations.reshaping import Reshaping
from .operations.setting import Setting
from .operations.single_reads import SingleReads
from .operations.updates import Updates
from .statements.rows import document_of, key_of
from .statements.scope import Scope

_BATCHING: Final = Batching()
_ONE_BY_ONE: Final = Batching(size=1, concurrency=1 << 30)


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
        batching: How concurrent calls are batched; None: each call is sent by itself.

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
        check_batching(batching)
        self._gateway = Gateway(engine, schema=schema, owned=_owned, limits=_limits)
        self._statements = self._gateway.statements
        self.batching = batching
        self._fetching = Fetching(self._gateway, clock)
        self._reads = Reads(self._statements, self._fetching)
        self._changes = Changes(self._gateway, self._fetching)
        self._listing = Listing(self._gateway, self._fetching)
        self._reshaping = Reshaping(self._statements, self._fetching)
        self._purging = Purging(self._gateway, self._fetching, self._reads.held)
        self._recent = RecentSessions()
        bounds = batching or _ONE_BY_ONE
        self._single_reads = SingleReads(self.get_many, self.touch_many, batching=bounds)
        self._updates = Updates(self._statements, self._fetching, self._changes)
        self._appends = Appends(self._landed, self._reads, batching=bounds)
        self._creating = Creating(self._statements, self._fetching, self._reads, self._changes, batching=bounds)
        self._setting = Setting(self._statements, self._fetching, self._reads, batching=bounds)
        self._deleting = Deleting(self._statements, self._fetching, self._reads, batching=bounds)

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
        return await self._creating.create_many(drafts)

    async def create(self, draft: Draft) -> Creation:
        return await self._creating.create(draft)

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
        if window is not None:
            self._recent.add(found)  # who reads items often appends items next
        documents = [found.get(key) for key in keys]
        return documents if owners is None else list(map(owned, documents, owners))

    async def get(
        self, key: Key, *, touch: bool = True, owner_id: str | None = None, window: Window | None = None
    ) -> Document | None:
        return await self._single_reads.get(key, touch=touch, owner_id=owner_id, window=window)

    async def get_group(
        self, keys: Sequence[Key], *, touch: bool = True, window: Window | None = None
    ) -> Sequence[Document | None]:
        return await self._single_reads.get_group(keys, touch=touch, window=window)

    async def touch(self, key: Key) -> bool:
        return await self._single_reads.touch(key)

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        return await self._updates.update_many(writes)

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

    async def list_logs_many(self, keys: Sequence[Key], *, owners: Owners = None) -> Sequence[LogNames | None]:
        found = await self._listing.logs(keys)
        anybody: Sequence[str | None] = owners or [None] * len(keys)
        asked = [(found.get(key), owner_id) for key, owner_id in zip(keys, anybody, strict=True)]
        return [it if it is not None and owner_id in (None, it.summary.owner_id) else None for it, owner_id in asked]

    async def fork(self, fork: Fork) -> Creation | None:
        return await Forking(fork, self._gateway, self._fetching, self._reads).made()

    async def delete_many(
        self, keys: Sequence[Key], *, owners: Owners = None, versions: Versions = None
    ) -> Sequence[bool]:
        return await self._deleting.delete_many(keys, owners, versions)

    async def delete(self, key: Key, *, owner_id: str | None = None, version: int | None = None) -> bool:
        return await self._deleting.delete(key, Deletion(owner_id, version))

    async def set_many(self, drafts: Sequence[Draft], *, renew: bool = False) -> Sequence[Summary]:
        return await self._setting.set_many(drafts, renew=renew)

    async def set(self, draft: Draft, *, renew: bool = False) -> Summary:
        return await self._setting.set(draft, renew=renew)

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

    async def outdated(
        self, namespace: str, version: int, *, limit: int, after: Key | None = None
    ) -> Sequence[Document]:
        return await self._reshaping.outdated(namespace, version, limit, after)

    async def rewrite_many(self, writes: Sequence[Write]) -> Sequence[bool]:
        return await self._reshaping.rewrite_many(writes)

    async def outdated_items(
        self, namespace: str, version: int, *, limit: int, after: OutdatedItem | None = None
    ) -> Sequence[OutdatedItem]:
        return await self._reshaping.outdated_items(namespace, version, limit, after)

    async def rewrite_items(self, rewrites: Sequence[Rewrite]) -> Sequence[bool]:
        return await self._reshaping.rewrite_items(rewrites)

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

    async def check(self, *, use: Use = "service") -> None:
        check_use(use)
        ready = self._gateway.readiness
        if refusal := await self._gateway.run(lambda lease: ready.look(lease, use), writing=False, use=use):
            raise refusal
        if self._statements.one_writer and use != "readonly":
            await self._gateway.run(self._try_to_write, writing=True)

    async def close(self) -> None:
        await self._reads.close()
        await self._gateway.close()

    async def _try_to_write(self, lease: Lease) -> None:
        async with self._gateway.transaction(lease):
            await self._gateway.readiness.try_to_write(lease)

    def _landed(self, appends: Mapping[Key, Append], *, waiting: bool = False, in_transaction: bool = False) -> Landing:
        changing = partial(self._changes.append, waiting=waiting)
        in_transaction = in_transaction or self._statements.one_writer
        return Landing(appends, self._statements, self._fetching, changing, self._recent, in_transaction=in_transaction)

"""A provider that does every call in one transaction, which a subclass runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from ...batching import Batching, check_batching
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
    at_version,
    check_use,
    owned,
)
from ..lifetime import LONGEST_GRACE, shifted
from ..records import check_clock, time_of
from ..reshaping import OutdatedItem, Rewrite
from .scans import Scans
from .sessions import Sessions

T = TypeVar("T")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class TransactedStorageProvider(StorageProvider):
    """Implements StorageProvider and Reshaping by transactions. A subclass implements transact().

    Each call is one transaction. A subclass for a database that updates single rows, or finds sessions by an index, is
    faster with methods of its own.

    Args:
        clock: Returns the current time as an aware datetime in UTC; None: the clock of the process.
        batching: How concurrent updates are batched; None: each update is sent by itself.
    """

    def __init__(self, *, clock: Clock | None = None, batching: Batching | None = Batching()) -> None:  # noqa: B008
        check_batching(batching)
        self.batching = batching
        check_clock(clock)
        self._now: Callable[[], datetime] = _utc_now if clock is None else partial(time_of, clock)
        self._closed = False

    @abstractmethod
    async def transact(self, work: Callable[[Sessions], T], keys: Collection[Key] | None) -> T:
        """Loads sessions, calls ``work`` on them, stores what changed, and returns what ``work`` returned.

        The transaction is atomic: nobody else writes these sessions between the load and the store. An implementation
        holds a lock, or it stores under a condition and starts over if the condition fails. ``work`` awaits nothing,
        and may be called again on sessions that were loaded anew. If ``work`` raises, nothing is stored.

        Args:
            work: Reads and changes the sessions. Is called in the thread of the event loop, because it may call a
                function of the service.
            keys: The sessions to load; None: all. A key without a stored session is left out.

        Raises:
            StorageUnavailableError: The storage could not be reached; nothing was stored.
            UpdateOutcomeUnknownError: The sessions may or may not have been stored.
        """
        ...

    async def create_many(self, drafts: Sequence[Draft]) -> Sequence[Creation]:
        asked = {(draft.key, draft.owner_id) for draft in drafts}

        def create(sessions: Sessions, now: datetime) -> Sequence[Creation]:
            creations: list[Creation] = []
            for draft in drafts:
                found = sessions.live(draft.key, now)
                if found is not None and not asked.isdisjoint({(draft.key, None), (draft.key, found.summary.owner_id)}):
                    found = sessions.access(draft.key, now)
                document = found or sessions.insert(draft, now)
                creations.append(Creation(document._replace(journal=None), created=found is None))
            return creations

        return await self._run(create, [draft.key for draft in drafts])

    async def get_many(
        self,
        keys: Sequence[Key],
        *,
        touch: bool = True,
        journal: bool = False,
        owners: Owners = None,
        window: Window | None = None,
    ) -> Sequence[Document | None]:
        def get(sessions: Sessions, now: datetime) -> Sequence[Document | None]:
            asked = zip(keys, owners or [None] * len(keys), strict=True)
            seen = [owned(sessions.live(key, now), owner_id) for key, owner_id in asked]
            found = [sessions.access(it.summary.key, now) if touch and it is not None else it for it in seen]
            if window is not None:
                found = [it and it._replace(items=sessions.logs.read(it.summary.key, window)) for it in found]
                if not window.state:
                    found = [it and it._replace(state="") for it in found]
            if not journal:
                found = [it and it._replace(journal=None) for it in found]
            return [it and it._replace(read_at=now) for it in found]

        return await self._run(get, keys)

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        def update(sessions: Sessions, now: datetime) -> Sequence[Summary | None]:
            sessions.check_new(writes, now)
            return [sessions.write(write, now) for write in writes]

        return await self._run(update, [write.read.key for write in writes])

    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        def update(sessions: Sessions, now: datetime) -> Sequence[Summary | None]:
            found = [sessions.live(key, now) for key in keys]
            writes = [None if document is None else apply(document) for document in found]
            sessions.check_new([write for write in writes if write is not None], now)
            return [None if write is None else sessions.write(write, now) for write in writes]

        return await self._run(update, keys)

    async def append_many(self, appends: Sequence[Append]) -> Sequence[Summary | None]:
        def append(sessions: Sessions, now: datetime) -> Sequence[Summary | None]:
            return [sessions.append(append, now) for append in appends]

        return await self._run(append, [append.key for append in appends])

    async def edit_many(self, edits: Sequence[Edit]) -> Sequence[Edited | None]:
        def edit(sessions: Sessions, now: datetime) -> Sequence[Edited | None]:
            return [sessions.edit(edit, now) for edit in edits]

        return await self._run(edit, [edit.key for edit in edits])

    async def find_many(
        self, namespace: str, ids: Sequence[str], *, owner_id: str | None = None
    ) -> Sequence[Found | None]:
        return await self._scan(lambda scans, now: scans.find(namespace, ids, owner_id, now))

    async def list_logs_many(self, keys: Sequence[Key], *, owners: Owners = None) -> Sequence[LogNames | None]:
        def list_logs(sessions: Sessions, now: datetime) -> Sequence[LogNames | None]:
            asked = zip(keys, owners or [None] * len(keys), strict=True)
            found = [owned(sessions.live(key, now), owner_id) for key, owner_id in asked]
            return [it and LogNames(it.summary, sessions.logs.names(it.summary.key)) for it in found]

        return await self._run(list_logs, keys)

    async def fork(self, fork: Fork) -> Creation | None:
        def copy(sessions: Sessions, now: datetime) -> Creation | None:
            if owned(sessions.live(fork.source, now), fork.owner_id) is None:
                return None
            taken = sessions.live(fork.key, now)
            if owned(taken, fork.owner_id) is not None:
                taken = sessions.access(fork.key, now)
            document = taken or sessions.fork(fork, now)
            return document and Creation(document._replace(journal=None), created=taken is None)

        return await self._run(copy, [fork.source, fork.key])

    async def delete_many(
        self, keys: Sequence[Key], *, owners: Owners = None, versions: Versions = None
    ) -> Sequence[bool]:
        anybody: list[None] = [None] * len(keys)

        def delete(sessions: Sessions, now: datetime) -> Sequence[bool]:
            deleted: list[bool] = []
            for key, owner_id, version in zip(keys, owners or anybody, versions or anybody, strict=True):
                found = at_version(owned(sessions.get(key), owner_id), version)
                deleted.append(found is not None and sessions.live(key, now) is not None)
                if found is not None:  # an expired session is dropped too, although the answer is False
                    sessions.drop(key)
            return deleted

        return await self._run(delete, keys)

    async def set_many(self, drafts: Sequence[Draft], *, renew: bool = False) -> Sequence[Summary]:
        last = {draft.key: draft for draft in drafts}

        def set_(sessions: Sessions, now: datetime) -> Sequence[Summary]:
            summaries = {key: sessions.overwrite(draft, now, renew=renew) for key, draft in last.items()}
            return [summaries[draft.key] for draft in drafts]

        return await self._run(set_, list(last))

    async def exists_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        return await self._run(lambda sessions, now: [sessions.live(key, now) is not None for key in keys], keys)

    async def touch_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        return await self._run(lambda sessions, now: [sessions.access(key, now) is not None for key in keys], keys)

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
        return await self._scan(
            lambda scans, now: scans.page(namespace, prefix, owner_id, limit, after, order, now, states=states)
        )

    async def clear(self, namespace: str | None = None, *, prefix: str = "", owner_id: str | None = None) -> int:
        return await self._scan(lambda scans, now: scans.clear(namespace, prefix, owner_id, now))

    async def purge_batch(
        self, *, limit: int = 5000, grace: timedelta = timedelta(0), since: datetime | None = None
    ) -> Purge:
        ago = min(grace, LONGEST_GRACE)
        return await self._scan(lambda scans, now: scans.purge(limit, shifted(now, -ago), since))

    async def count_expired(self, *, grace: timedelta = timedelta(0), since: datetime | None = None) -> int:
        ago = min(grace, LONGEST_GRACE)
        return await self._scan(lambda scans, now: scans.count_expired(shifted(now, -ago), since))

    async def outdated(
        self, namespace: str, version: int, *, limit: int, after: Key | None = None
    ) -> Sequence[Document]:
        return await self._scan(lambda scans, now: scans.outdated(namespace, version, limit, after, now))

    async def rewrite_many(self, writes: Sequence[Write]) -> Sequence[bool]:
        keys = [write.read.key for write in writes]
        return await self._run(lambda sessions, now: [sessions.rewrite(write, now) for write in writes], keys)

    async def outdated_items(
        self, namespace: str, version: int, *, limit: int, after: OutdatedItem | None = None
    ) -> Sequence[OutdatedItem]:
        return await self._scan(lambda scans, now: scans.outdated_items(namespace, version, limit, after, now))

    async def rewrite_items(self, rewrites: Sequence[Rewrite]) -> Sequence[bool]:
        keys = [rewrite.found.key for rewrite in rewrites]
        return await self._run(lambda sessions, _: [sessions.logs.rewrite(it) for it in rewrites], keys)

    async def stats(self, namespace: str | None = None) -> Sequence[Stats]:
        return await self._scan(lambda scans, now: scans.stats(namespace, now))

    async def check(self, *, use: Use = "service") -> None:
        check_use(use)
        await self._run(lambda _sessions, _now: None, [])

    async def close(self) -> None:
        """Closes the provider. A subclass with something to close overrides this method, and calls it too."""
        self._closed = True

    async def _scan(self, work: Callable[[Scans, datetime], T]) -> T:
        return await self._run(lambda sessions, now: work(Scans(sessions), now), None)

    async def _run(self, work: Callable[[Sessions, datetime], T], keys: Collection[Key] | None) -> T:
        def at_this_time(sessions: Sessions) -> T:
            # The transaction may have waited for its lock. So the clock is read now, and close() may have been called.
            self._check_open()
            return work(sessions, self._now())

        self._check_open()
        return await self.transact(at_this_time, keys)

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError("the storage is closed; open another one")

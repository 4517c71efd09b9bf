"""The memory provider, for tests and demos. It is the reference that the other providers are tested against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from threading import RLock
from typing import Any, TypeVar, cast

from ...batching import Batching
from ...concurrency.forks import forget_in_children
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
from .documents import Documents
from .scans import Scans

M = TypeVar("M", bound=Callable[..., Any])


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _one_thread_at_a_time(method: M) -> M:
    """Makes a method atomic for all threads. No method awaits anything, so the lock is never held across an await."""

    @wraps(method)
    async def call(self: MemoryStorageProvider, *args: Any, **kwargs: Any) -> Any:
        with self._lock:  # pyright: ignore[reportPrivateUsage]
            return await method(self, *args, **kwargs)

    return cast("M", call)


class MemoryStorageProvider(StorageProvider):
    """Stores sessions in a dictionary.

    The sessions end with the process. A forked child has its own copy of them.

    No method awaits anything, and a lock admits one thread at a time. So each call is atomic, also when event loops
    in several threads share the storage.

    Args:
        clock: Returns the current time as an aware datetime in UTC; None: the clock of the process.
        batching: How concurrent updates are batched. No call of this provider waits, so batches rarely form.
    """

    def __init__(self, *, clock: Clock | None = None, batching: Batching | None = Batching()) -> None:  # noqa: B008
        self.batching = batching
        check_clock(clock)
        self._now: Callable[[], datetime] = _utc_now if clock is None else partial(time_of, clock)
        self._documents = Documents()
        self._scans = Scans(self._documents)
        self._closed = False
        self._lock = RLock()
        forget_in_children(self)

    def forget_parent(self) -> None:
        """Replaces the lock in a forked child, which does not have the thread that may hold the lock."""
        self._lock = RLock()

    @_one_thread_at_a_time
    async def create_many(self, drafts: Sequence[Draft]) -> Sequence[Creation]:
        now = self._open_at()
        asked = {(draft.key, draft.owner_id) for draft in drafts}
        creations: list[Creation] = []
        for draft in drafts:
            found = self._documents.live(draft.key, now)
            if found is not None and not asked.isdisjoint({(draft.key, None), (draft.key, found.summary.owner_id)}):
                found = self._documents.access(draft.key, now)
            document = found or self._documents.insert(draft, now)
            creations.append(Creation(document._replace(journal=None), created=found is None))
        return creations

    @_one_thread_at_a_time
    async def get_many(
        self,
        keys: Sequence[Key],
        *,
        touch: bool = True,
        journal: bool = False,
        owners: Owners = None,
        window: Window | None = None,
    ) -> Sequence[Document | None]:
        now = self._open_at()
        asked = zip(keys, owners or [None] * len(keys), strict=True)
        seen = [owned(self._documents.live(key, now), owner_id) for key, owner_id in asked]
        found = [self._documents.access(it.summary.key, now) if touch and it is not None else it for it in seen]
        if window is not None:
            found = [it and it._replace(items=self._documents.logs.read(it.summary.key, window)) for it in found]
            if not window.state:
                found = [it and it._replace(state="") for it in found]
        if not journal:
            found = [it and it._replace(journal=None) for it in found]
        return [it and it._replace(read_at=now) for it in found]

    @_one_thread_at_a_time
    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        now = self._open_at()
        return [self._documents.write(write, now) for write in writes]

    @_one_thread_at_a_time
    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        now = self._open_at()
        found = [self._documents.live(key, now) for key in keys]
        writes = [None if document is None else apply(document) for document in found]
        return [None if write is None else self._documents.write(write, now) for write in writes]

    @_one_thread_at_a_time
    async def append_many(self, appends: Sequence[Append]) -> Sequence[Summary | None]:
        now = self._open_at()
        return [self._documents.append(append, now) for append in appends]

    @_one_thread_at_a_time
    async def edit_many(self, edits: Sequence[Edit]) -> Sequence[Edited | None]:
        now = self._open_at()
        return [self._documents.edit(edit, now) for edit in edits]

    @_one_thread_at_a_time
    async def find_many(
        self, namespace: str, ids: Sequence[str], *, owner_id: str | None = None
    ) -> Sequence[Found | None]:
        now = self._open_at()
        return self._scans.find(namespace, ids, owner_id, now)

    @_one_thread_at_a_time
    async def list_logs_many(self, keys: Sequence[Key], *, owners: Owners = None) -> Sequence[LogNames | None]:
        now = self._open_at()
        asked = zip(keys, owners or [None] * len(keys), strict=True)
        found = [owned(self._documents.live(key, now), owner_id) for key, owner_id in asked]
        return [it and LogNames(it.summary, self._documents.logs.names(it.summary.key)) for it in found]

    @_one_thread_at_a_time
    async def fork(self, fork: Fork) -> Creation | None:
        now = self._open_at()
        if owned(self._documents.live(fork.source, now), fork.owner_id) is None:
            return None
        taken = self._documents.live(fork.key, now)
        if owned(taken, fork.owner_id) is not None:
            taken = self._documents.access(fork.key, now)
        document = taken or self._documents.fork(fork, now)
        return document and Creation(document._replace(journal=None), created=taken is None)

    @_one_thread_at_a_time
    async def delete_many(
        self, keys: Sequence[Key], *, owners: Owners = None, versions: Versions = None
    ) -> Sequence[bool]:
        now = self._open_at()
        anybody: list[None] = [None] * len(keys)
        deleted: list[bool] = []
        for key, owner_id, version in zip(keys, owners or anybody, versions or anybody, strict=True):
            found = at_version(owned(self._documents.get(key), owner_id), version)
            deleted.append(found is not None and self._documents.live(key, now) is not None)
            if found is not None:  # an expired one goes too, but nobody is told
                self._documents.drop(key)
        return deleted

    @_one_thread_at_a_time
    async def set_many(self, drafts: Sequence[Draft], *, renew: bool = False) -> Sequence[Summary]:
        now = self._open_at()
        summaries = {
            key: self._documents.overwrite(draft, now, renew=renew)
            for key, draft in {draft.key: draft for draft in drafts}.items()
        }
        return [summaries[draft.key] for draft in drafts]

    @_one_thread_at_a_time
    async def exists_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        now = self._open_at()
        return [self._documents.live(key, now) is not None for key in keys]

    @_one_thread_at_a_time
    async def touch_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        now = self._open_at()
        return [self._documents.access(key, now) is not None for key in keys]

    @_one_thread_at_a_time
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
        now = self._open_at()
        return self._scans.page(namespace, prefix, owner_id, limit, after, order, now, states=states)

    @_one_thread_at_a_time
    async def clear(self, namespace: str | None = None, *, prefix: str = "", owner_id: str | None = None) -> int:
        now = self._open_at()
        return self._scans.clear(namespace, prefix, owner_id, now)

    @_one_thread_at_a_time
    async def purge_batch(
        self, *, limit: int = 5000, grace: timedelta = timedelta(0), since: datetime | None = None
    ) -> Purge:
        return self._scans.purge(limit, shifted(self._open_at(), -min(grace, LONGEST_GRACE)), since)

    @_one_thread_at_a_time
    async def count_expired(self, *, grace: timedelta = timedelta(0), since: datetime | None = None) -> int:
        return self._scans.count_expired(shifted(self._open_at(), -min(grace, LONGEST_GRACE)), since)

    @_one_thread_at_a_time
    async def outdated(
        self, namespace: str, version: int, *, limit: int, after: Key | None = None
    ) -> Sequence[Document]:
        return self._scans.outdated(namespace, version, limit, after, self._open_at())

    @_one_thread_at_a_time
    async def rewrite_many(self, writes: Sequence[Write]) -> Sequence[bool]:
        now = self._open_at()
        return [self._documents.rewrite(write, now) for write in writes]

    @_one_thread_at_a_time
    async def outdated_items(
        self, namespace: str, version: int, *, limit: int, after: OutdatedItem | None = None
    ) -> Sequence[OutdatedItem]:
        return self._scans.outdated_items(namespace, version, limit, after, self._open_at())

    @_one_thread_at_a_time
    async def rewrite_items(self, rewrites: Sequence[Rewrite]) -> Sequence[bool]:
        self._open_at()
        return [self._documents.logs.rewrite(it) for it in rewrites]

    @_one_thread_at_a_time
    async def stats(self, namespace: str | None = None) -> Sequence[Stats]:
        now = self._open_at()
        return self._scans.stats(namespace, now)

    async def check(self, *, use: Use = "service") -> None:
        check_use(use)
        self._open_at()

    @_one_thread_at_a_time
    async def close(self) -> None:
        self._closed = True
        self._documents.clear()
        self._documents.logs.clear()

    def _open_at(self) -> datetime:
        if self._closed:
            raise StorageError("the storage is closed; open another one")
        return self._now()

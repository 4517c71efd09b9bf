"""Sessions in the memory of this process: for tests, for demos, and as the reference that the others are held to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from threading import RLock
from typing import Any, TypeVar, cast

from ..batching import Batching
from ..concurrency.forks import forget_in_children
from ..errors import StorageError
from ..ids import check_filters
from . import (
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
    Versions,
    Write,
    at_version,
    check_limit,
    owned,
)
from .journal import JOURNAL_CHARS, Journal, entry, new_write_id
from .lifetime import deadline_of, first_expiry, slid_expiry

M = TypeVar("M", bound=Callable[..., Any])


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _one_thread_at_a_time(method: M) -> M:
    """Makes a method atomic for all threads. No method awaits anything, so the lock is never kept across a pause."""

    @wraps(method)
    async def call(self: MemoryStorageProvider, *args: Any, **kwargs: Any) -> Any:
        with self._lock:  # pyright: ignore[reportPrivateUsage]
            return await method(self, *args, **kwargs)

    return cast("M", call)


class MemoryStorageProvider(StorageProvider):
    """Keeps sessions in a dictionary; they go with the process, and a forked child has a copy.

    No method awaits anything, and one thread at a time is in any of them. So each call is atomic, also for several
    event loops in several threads.

    Args:
        clock: Gives the aware UTC now; the process's clock where it is None.
        batching: As every provider takes it. There is nothing to go together where no call waits for anything.
    """

    def __init__(self, *, clock: Clock | None = None, batching: Batching | None = Batching()) -> None:  # noqa: B008
        self.batching = batching
        self._now: Callable[[], datetime] = clock or _utc_now
        self._documents: dict[Key, Document] = {}
        self._closed = False
        self._lock = RLock()
        forget_in_children(self)

    def forget_parent(self) -> None:
        """Makes the lock anew in a forked child, where the thread that held it does not exist."""
        self._lock = RLock()

    @_one_thread_at_a_time
    async def create_many(self, drafts: Sequence[Draft]) -> Sequence[Creation]:
        now = self._open_at()
        asked = {(draft.key, draft.owner_id) for draft in drafts}
        creations: list[Creation] = []
        for draft in drafts:
            found = self._live(draft.key, now)
            if found is not None and not asked.isdisjoint({(draft.key, None), (draft.key, found.summary.owner_id)}):
                found = self._access(draft.key, now)
            document = found or self._insert(draft, now)
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
    ) -> Sequence[Document | None]:
        now = self._open_at()
        asked = zip(keys, owners or [None] * len(keys), strict=True)
        seen = [owned(self._live(key, now), owner_id) for key, owner_id in asked]
        found = [self._access(it.summary.key, now) if touch and it is not None else it for it in seen]
        return found if journal else [document and document._replace(journal=None) for document in found]

    @_one_thread_at_a_time
    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        now = self._open_at()
        return [self._write(write, now) for write in writes]

    @_one_thread_at_a_time
    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        now = self._open_at()
        found = [self._live(key, now) for key in keys]
        writes = [None if document is None else apply(document) for document in found]
        return [None if write is None else self._write(write, now) for write in writes]

    @_one_thread_at_a_time
    async def delete_many(
        self, keys: Sequence[Key], *, owners: Owners = None, versions: Versions = None
    ) -> Sequence[bool]:
        now = self._open_at()
        anybody: list[None] = [None] * len(keys)
        deleted: list[bool] = []
        for key, owner_id, version in zip(keys, owners or anybody, versions or anybody, strict=True):
            found = at_version(owned(self._live(key, now), owner_id), version)
            deleted.append(found is not None)
            if found is not None or (owner_id is None and version is None):
                self._documents.pop(key, None)
        return deleted

    @_one_thread_at_a_time
    async def set_many(self, drafts: Sequence[Draft]) -> Sequence[Summary]:
        now = self._open_at()
        summaries = {key: self._set(draft, now) for key, draft in {draft.key: draft for draft in drafts}.items()}
        return [summaries[draft.key] for draft in drafts]

    @_one_thread_at_a_time
    async def exists_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        now = self._open_at()
        return [self._live(key, now) is not None for key in keys]

    @_one_thread_at_a_time
    async def touch_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        now = self._open_at()
        return [self._access(key, now) is not None for key in keys]

    @_one_thread_at_a_time
    async def list(
        self,
        namespace: str | None = None,
        *,
        prefix: str = "",
        owner_id: str | None = None,
        limit: int = 100,
        after: Key | None = None,
    ) -> Page:
        now = self._open_at()
        check_limit(limit)
        check_filters(namespace=namespace, prefix=prefix, owner_id=owner_id)
        found = [
            document.summary
            for key, document in sorted(self._under(namespace, prefix))
            if (after is None or key > tuple(after))
            and (owner_id is None or document.summary.owner_id == owner_id)
            and self._live(key, now)
        ]
        return Page(found[:limit], found[limit - 1].key if len(found) > limit else None)

    @_one_thread_at_a_time
    async def clear(self, namespace: str | None = None, *, prefix: str = "", owner_id: str | None = None) -> int:
        check_filters(namespace=namespace, prefix=prefix, owner_id=owner_id)
        now = self._open_at()
        doomed = [
            key
            for key, document in self._under(namespace, prefix)
            if owner_id is None or document.summary.owner_id == owner_id
        ]
        live = sum(self._live(key, now) is not None for key in doomed)
        for key in doomed:
            del self._documents[key]
        return live

    @_one_thread_at_a_time
    async def purge_batch(
        self, *, limit: int = 5000, grace: timedelta = timedelta(0), since: datetime | None = None
    ) -> Purge:
        check_limit(limit)
        found = sorted(self._expired(self._open_at() - grace))
        doomed = [(expires_at, key) for expires_at, key in found if since is None or expires_at >= since][:limit]
        for _, key in doomed:
            del self._documents[key]
        return Purge(len(doomed), doomed[-1][0] if doomed else None, 0)

    @_one_thread_at_a_time
    async def count_expired(self, *, grace: timedelta = timedelta(0), since: datetime | None = None) -> int:
        expired = self._expired(self._open_at() - grace)
        return sum(since is None or expires_at >= since for expires_at, _ in expired)

    @_one_thread_at_a_time
    async def stats(self, namespace: str | None = None) -> Sequence[Stats]:
        check_filters(namespace=namespace)
        now = self._open_at()
        expiries: dict[str, list[datetime]] = {key.namespace: [] for key, _ in self._under(namespace, "")}
        for expires_at, key in self._expired(now):
            if key.namespace in expiries:
                expiries[key.namespace].append(expires_at)
        return [
            Stats(
                name,
                live=sum(self._live(key, now) is not None for key, _ in self._under(name, "")),
                expired=len(expired),
                oldest_expiry=min(expired, default=None),
            )
            for name, expired in sorted(expiries.items())
        ]

    @_one_thread_at_a_time
    async def close(self) -> None:
        self._closed = True
        self._documents.clear()

    def _open_at(self) -> datetime:
        if self._closed:
            raise StorageError("the storage is closed; open another one")
        return self._now()

    def _under(self, namespace: str | None, prefix: str) -> Iterator[tuple[Key, Document]]:
        for key, document in self._documents.items():
            if (namespace is None or key.namespace == namespace) and key.session_id.startswith(prefix):
                yield key, document

    def _expired(self, until: datetime) -> Iterator[tuple[datetime, Key]]:
        for key, document in self._documents.items():
            expires_at = document.summary.expires_at
            if expires_at is not None and expires_at <= until:
                yield expires_at, key

    def _live(self, key: Key, now: datetime) -> Document | None:
        found = self._documents.get(key)
        if found is None or (found.summary.expires_at is not None and found.summary.expires_at <= now):
            return None
        return found

    def _access(self, key: Key, now: datetime) -> Document | None:
        found = self._live(key, now)
        if found is None:
            return None
        summary = found.summary
        slid = slid_expiry(now, summary.expires_at, summary.ttl, summary.deadline)
        accessed = found._replace(summary=summary._replace(last_accessed_at=now, expires_at=slid))
        if slid != summary.expires_at:
            self._documents[key] = accessed
        return accessed

    def _insert(self, draft: Draft, now: datetime) -> Document:
        deadline = deadline_of(now, draft.max_lifetime)
        summary = Summary(
            key=draft.key,
            version=draft.version,
            created_at=now,
            updated_at=now,
            last_accessed_at=now,
            expires_at=first_expiry(now, draft.ttl, deadline),
            deadline=deadline,
            ttl=draft.ttl,
            origin=draft.origin,
            owner_id=draft.owner_id,
        )
        self._documents[draft.key] = Document(draft.state, summary, Journal("", ""))
        return self._documents[draft.key]

    def _write(self, write: Write, now: datetime) -> Summary | None:
        found = self._live(write.read.key, now)
        if found is None:
            return None
        summary = found.summary
        if (summary.version, summary.last_write) != (write.read.version, write.read.last_write):
            return None
        summary = summary._replace(
            version=summary.version + write.count,
            updated_at=now,
            last_accessed_at=now,
            expires_at=slid_expiry(now, summary.expires_at, summary.ttl, summary.deadline),
            last_write=write.id,
        )
        journal = _noted(found, entry(write.id, write.count))
        self._documents[summary.key] = Document(
            write.state, summary, journal if write.keys is None else journal._replace(keys=write.keys)
        )
        return summary

    def _set(self, draft: Draft, now: datetime) -> Summary:
        found = self._live(draft.key, now)
        made = self._insert(draft, now)
        summary = made.summary._replace(last_write=new_write_id())
        if found is not None:
            created_at = found.summary.created_at
            deadline = deadline_of(created_at, draft.max_lifetime)
            summary = summary._replace(
                version=found.summary.version + 1,
                created_at=created_at,
                deadline=deadline,
                expires_at=first_expiry(now, draft.ttl, deadline),
            )
        journal = _noted(found or made, entry(summary.last_write, 1))
        self._documents[draft.key] = Document(draft.state, summary, journal)
        return summary


def _noted(document: Document, made: str) -> Journal:
    writes, keys = document.journal or ("", "")
    return Journal((made + writes)[:JOURNAL_CHARS], keys)

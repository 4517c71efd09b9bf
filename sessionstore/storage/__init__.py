"""The storage seam: what a provider is asked, and what it promises.

A provider keeps documents. It sees keys and JSON text, never the type that a manager makes of them, and every
call speaks of many documents at a time; one document is a batch of one. Results come in the order of the
arguments.

What holds for every method of every provider:

- A session is *live* until its ``expires_at``. Absent, deleted, expired and never-existed are one answer, told
  as ``None`` or ``False`` and never as an error. An expired row that still lies there is not there.
- The clock is the storage's own (the database's, for a database), unless the provider was given ``clock``.
- Each document is read or written whole and atomically. A batch is not a transaction: each of its documents
  succeeds or not for itself.
- *Access* slides the expiry: afterwards the session lives at least its TTL and at most 1.1 times it, never past
  its ``deadline``. The expiry never moves back, and an access that does not have to move it writes nothing.
- A fault of the storage raises a StorageError, and a schema that does not fit a SchemaError. When a method
  raises, documents of a batch may or may not have been written, each of them whole.
- ``expires_at`` and its kin are aware datetimes in UTC; durations are exact to the microsecond.

The provider checks neither ids nor states: keys and documents come from a manager that did.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, SupportsIndex, runtime_checkable

from ..batching import Batching
from .records import (
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
    Summary,
    Versions,
    Write,
    at_version,
    check_limit,
    owned,
)

__all__ = [
    "Apply",
    "Clock",
    "Creation",
    "Document",
    "Draft",
    "Key",
    "Owners",
    "Page",
    "Purge",
    "Stats",
    "StorageProvider",
    "Summary",
    "Versions",
    "Write",
    "at_version",
    "check_limit",
    "owned",
]


@runtime_checkable
class StorageProvider(Protocol):
    """Where sessions are kept. See the module for what holds for every method.

    Subclass it to write a provider: the methods on single keys come with it.

    Attributes:
        batching: How updates that come at once go together, see updates/loop.py; None: each goes by itself.
    """

    batching: Batching | None = Batching()

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        raise TypeError(
            "a storage cannot be copied or pickled, because its connections belong to this process; call "
            "open_storage() with the same URL in the other process"
        )

    async def create_many(self, drafts: Sequence[Draft]) -> Sequence[Creation]:
        """Creates each session, unless a live one has its key: then that one is the answer, and was accessed.

        Where the draft names an owner and the live session belongs to another one, or to none, that session is the
        answer as well, and was not accessed: the caller must not show it.

        An expired row is replaced by a wholly new session. Of any number of racing callers exactly one is told
        ``created``. A key that comes twice is created by its first draft and found by its second.
        """
        ...

    async def get_many(
        self,
        keys: Sequence[Key],
        *,
        touch: bool = True,
        journal: bool = False,
        owners: Owners = None,
    ) -> Sequence[Document | None]:
        """Reads each session; None where there is no live one. With ``touch`` the read is an access.

        To an owner, a session of another one, or of none, is not there, and this is no access of that.
        With ``journal`` the documents bring theirs, which holds the last writes with their ids and counts.
        """
        ...

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        """Writes each state, if the session is live and still at the version and the last write that its write names.

        Raises its version by the write's count, and notes the write in its journal; a write is an access. None: it was
        not written, because the session is gone or at another version (or, which is the same to the caller, somebody
        else holds it right now); read it again to learn which. A key must not come twice.
        """
        ...

    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        """Reads the sessions under exclusive locks, applies to each, and writes them before anybody else can.

        The dear way for sessions so contended that update_many() keeps losing: waiters queue and none starves. None:
        there is no live session, or ``apply`` had nothing to write. Documents bring their journals. What ``apply``
        raises comes through, and nothing is written of any of them. A key must not come twice.
        """
        ...

    async def delete_many(
        self, keys: Sequence[Key], *, owners: Owners = None, versions: Versions = None
    ) -> Sequence[bool]:
        """Deletes each session; returns whether a live one was deleted.

        ``owners`` is as in get_many(). A session at another version than the one named is not deleted. Where a version
        is a Version, its write has to be the session's last one too: after a restore the number may come back.
        """
        ...

    async def set_many(self, drafts: Sequence[Draft]) -> Sequence[Summary]:
        """Inserts or overwrites each session, whatever is there.

        A live session keeps ``created_at`` and counts a write; its state, TTL, deadline (from ``created_at``), origin
        and owner become the draft's. Of a key that comes twice the last draft is set, once.
        """
        ...

    async def exists_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        """Whether each session is live. Not an access."""
        ...

    async def touch_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        """Accesses each session without reading it; whether it is live. The version stays."""
        ...

    async def list(
        self,
        namespace: str | None = None,
        *,
        prefix: str = "",
        owner_id: str | None = None,
        limit: int = 100,
        after: Key | None = None,
    ) -> Page:
        """Lists live sessions in key order (by code point), a page at a time, without their states.

        Args:
            namespace: Only of this namespace; None: of all.
            prefix: Only ids that start with exactly this.
            owner_id: Only of this owner.
            limit: The length of a page, at least 1.
            after: The ``next`` of the page before. Pages follow keys, not positions: what is created or deleted
                between two pages neither repeats nor hides another session.
        """
        ...

    async def clear(self, namespace: str | None = None, *, prefix: str = "", owner_id: str | None = None) -> int:
        """Deletes all sessions of a namespace (None: of all) and an owner (None: of all) whose ids have the prefix.

        Returns how many live ones there were. Runs in batches: a session created meanwhile may stay.
        """
        ...

    async def purge_batch(
        self, *, limit: int = 5000, grace: timedelta = timedelta(0), since: datetime | None = None
    ) -> Purge:
        """Deletes up to ``limit`` rows that expired at least ``grace`` ago, in one short transaction.

        In the order in which they expired, from ``since`` on: the batch after another one need not look where that one
        has been. Rows that somebody else holds are passed over, so any number of callers run at once. Never deletes a
        live session: what was renewed meanwhile stays.
        """
        ...

    async def count_expired(self, *, grace: timedelta = timedelta(0), since: datetime | None = None) -> int:
        """How many rows a purge would find, from ``since`` on."""
        ...

    async def stats(self, namespace: str | None = None) -> Sequence[Stats]:
        """Counts per namespace, in order; only one where a namespace is named, and that one only if it has rows."""
        ...

    async def close(self) -> None:
        """Gives back what the provider holds. Closing twice is fine; any other call afterwards raises StorageError."""
        ...

    async def purge_expired(self, *, limit: int = 5000, grace: timedelta = timedelta(0)) -> int:
        """purge_batch() of those that expired first; how many it deleted."""
        return (await self.purge_batch(limit=limit, grace=grace)).deleted

    async def create(self, draft: Draft) -> Creation:
        """create_many() of one."""
        return (await self.create_many([draft]))[0]

    async def get(self, key: Key, *, touch: bool = True, owner_id: str | None = None) -> Document | None:
        """get_many() of one."""
        if owner_id is None:
            return (await self.get_many([key], touch=touch))[0]
        return (await self.get_many([key], touch=touch, owners=[owner_id]))[0]

    async def update(self, write: Write) -> Summary | None:
        """update_many() of one."""
        return (await self.update_many([write]))[0]

    async def update_locked(self, key: Key, apply: Apply) -> Summary | None:
        """update_locked_many() of one."""
        return (await self.update_locked_many([key], apply))[0]

    async def delete(self, key: Key, *, owner_id: str | None = None, version: int | None = None) -> bool:
        """delete_many() of one."""
        wanted: dict[str, Any] = {} if owner_id is None else {"owners": [owner_id]}
        if version is not None:
            wanted["versions"] = [version]
        return (await self.delete_many([key], **wanted))[0]

    async def set(self, draft: Draft) -> Summary:
        """set_many() of one."""
        return (await self.set_many([draft]))[0]

    async def exists(self, key: Key) -> bool:
        """exists_many() of one."""
        return (await self.exists_many([key]))[0]

    async def touch(self, key: Key) -> bool:
        """touch_many() of one."""
        return (await self.touch_many([key]))[0]

    async def __aenter__(self) -> StorageProvider:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

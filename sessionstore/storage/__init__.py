"""The storage seam: the contract of a storage provider.

A provider stores documents. It sees keys and JSON text, never the Python type of a state. Every method takes a batch;
one document is a batch of one. Results come in the order of the arguments.

These rules hold for every method of every provider:

- A session is *live* until its ``expires_at``. Absent, deleted and expired sessions, and those that never existed, get
  the same answer: ``None`` or ``False``, never an error. The row of an expired session counts as absent.
- The clock is the storage's own (for a database, the database server's), unless the provider was given ``clock``.
- Each document is read and written as a whole and atomically. A batch is not a transaction: each document of the batch
  succeeds or fails by itself.
- An *access* slides the expiry: afterwards the session lives at least its TTL and at most 1.1 times its TTL, and never
  past its ``deadline``. An access never moves the expiry back, and writes only if it has to move the expiry.
- A fault of the storage raises StorageError. A schema that does not fit raises SchemaError. When a method raises, each
  document of the batch may or may not have been written, but none was written in part.
- A session has *items* beside its state: JSON texts that are kept character by character, in one or several logs.
  The positions of all logs are counted together. They start at 1, grow, and never come back, also after a removal.
  Items end with their session: a later session of the same key starts at position 1 and has none of them. A change of
  items is an access and sets ``updated_at``, and leaves the version alone.
- A change of items lands at most once, also if its answer was lost: the provider finds out whether it landed, and sends
  it again if it did not. If that cannot be told, it raises UpdateOutcomeUnknownError.
- Any other exception is a fault of the provider. A lone caller gets the exception as it was raised: the service chose
  the provider, so its exceptions are the service's own. Several callers of one write get an UpdateOutcomeUnknownError.
- All times are aware datetimes in UTC. Durations are exact to the microsecond.

The provider checks neither ids nor states: the manager has checked them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, SupportsIndex, runtime_checkable

from ..batching import Batching
from .items import NewItem, StoredItem, Window
from .log import Append, Edit, Edited, Found
from .records import (
    Apply,
    Clock,
    Creation,
    Document,
    Draft,
    Fork,
    Key,
    Order,
    Owners,
    Page,
    Place,
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
    "Append",
    "Apply",
    "Clock",
    "Creation",
    "Document",
    "Draft",
    "Edit",
    "Edited",
    "Fork",
    "Found",
    "Key",
    "NewItem",
    "Order",
    "Owners",
    "Page",
    "Place",
    "Purge",
    "Stats",
    "StorageProvider",
    "StoredItem",
    "Summary",
    "Versions",
    "Window",
    "Write",
    "at_version",
    "check_limit",
    "owned",
]


@runtime_checkable
class StorageProvider(Protocol):
    """Stores sessions. The module's docstring has the rules that hold for every method.

    To write a provider, subclass this class and implement the methods on batches. The methods on single keys are
    inherited.

    Attributes:
        batching: How concurrent updates are batched, see updates/loop.py; None: each update goes by itself.
    """

    batching: Batching | None = Batching()

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        raise TypeError(
            "a storage cannot be copied or pickled, because its connections belong to this process; call "
            "open_storage() with the same URL in the other process"
        )

    async def create_many(self, drafts: Sequence[Draft]) -> Sequence[Creation]:
        """Creates each session, unless the key has a live session: then returns the live session, as an access.

        If the draft names an owner and the live session has another owner, or none, the live session is returned too,
        but not accessed. The caller must not show it to the owner. The items of the draft are appended to a session
        that it creates, and to no other.

        An expired session is replaced by a wholly new one. Of several racing callers, exactly one gets ``created``. If
        a key comes twice, its first draft creates the session and its second draft finds it.
        """
        ...

    async def get_many(
        self,
        keys: Sequence[Key],
        *,
        touch: bool = True,
        journal: bool = False,
        owners: Owners = None,
        window: Window | None = None,
    ) -> Sequence[Document | None]:
        """Reads each session; None: there is no live session.

        Args:
            keys: The sessions to read.
            touch: Whether the read is an access.
            journal: Whether the documents include their journals, which hold the ids and counts of the last writes.
            owners: An owner for each key. If the session has another owner, or none, the answer is None and the
                read is no access.
            window: Which items the documents include; None: none. State and items are those of one moment.
        """
        ...

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        """Writes each state under an optimistic lock.

        A state is written only if the session is live and still has the version and the last write that were read.
        The write raises the version by its count, enters itself in the journal, and is an access. Its items land with
        the state or not at all. A key must not come twice.

        Returns:
            For each write, the summary after it; None: nothing was written, because the session is gone, has another
            version, or is held by another transaction. Read the session again to learn which.
        """
        ...

    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        """Reads each session under an exclusive lock, calls ``apply`` on the document, and writes the result.

        More expensive than update_many(). For sessions so contended that update_many() keeps losing: waiters queue for
        the lock, and none starves. The documents include their journals. If ``apply`` raises, nothing of the batch is
        written and the exception propagates. A key must not come twice.

        Returns:
            For each key, the summary after the write; None: there is no live session, or ``apply`` returned None.
        """
        ...

    async def append_many(self, appends: Sequence[Append]) -> Sequence[Summary | None]:
        """Appends items to each session, the items of each append next to each other and in the order given.

        Appends conflict with nobody: they need no read, and any number of callers may append at once. Appends of one
        key land in the order given.

        Returns:
            For each append, the summary after it, with the positions of its items; None: nothing was appended, because
            there is no live session, it has another owner, or its last position is not the expected one, or its row
            keeps the idempotency key. Read the session to learn which.

        Raises:
            StorageUnavailableError: Another transaction holds the row for too long.
        """
        ...

    async def edit_many(self, edits: Sequence[Edit]) -> Sequence[Edited | None]:
        """Removes or replaces items of each session, one session after the other, under an exclusive lock.

        Of several callers that remove the newest items at once, each gets different items.

        Returns:
            For each edit, its result; None: there is no live session, or it has another owner.

        Raises:
            StorageUnavailableError: Another transaction holds the row for too long.
        """
        ...

    async def find_many(
        self, namespace: str, ids: Sequence[str], *, owner_id: str | None = None
    ) -> Sequence[Found | None]:
        """Finds the item that has each id, in any live session of the namespace; None: there is none. Is no access.

        Args:
            namespace: The namespace of the sessions.
            ids: The ids of the items.
            owner_id: Only sessions of this owner; None: of any. If several sessions have an item of the id, which forks
                have, the session that was created first is found.
        """
        ...

    async def fork(self, fork: Fork) -> Creation | None:
        """Copies a session with its items to a new key, in the storage, as of one moment.

        The copy has the state, TTL, origin and owner of the session, its items with their positions, ids and times, and
        a life, version and journal of its own. Its longest lifetime counts anew.

        Returns:
            The copy, or the live session that has its key, with ``created`` False; None: there is no live session to
            copy, or it has another owner.
        """
        ...

    async def delete_many(
        self, keys: Sequence[Key], *, owners: Owners = None, versions: Versions = None
    ) -> Sequence[bool]:
        """Deletes each session, and returns whether a live session was deleted.

        Args:
            keys: The sessions to delete.
            owners: An owner for each key. A session with another owner, or none, is not deleted.
            versions: A version for each key. A session at another version is not deleted. If the version is a
                Version, the session's last write has to be the same too: after a restore, the number may come back.
        """
        ...

    async def set_many(self, drafts: Sequence[Draft]) -> Sequence[Summary]:
        """Creates each session, or overwrites the live session of the key.

        An overwritten session keeps its ``created_at``, and its version grows by one. Its state, TTL, deadline
        (counted from ``created_at``), origin and owner become the draft's. If a key comes twice, only its last draft
        is written.
        """
        ...

    async def exists_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        """Returns whether each session is live. Is no access."""
        ...

    async def touch_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        """Accesses each session without reading it, and returns whether it is live. The version does not change."""
        ...

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
        """Lists live sessions, one page at a time.

        Args:
            namespace: Only sessions of this namespace; None: of all.
            prefix: Only sessions whose ids start with exactly this text.
            owner_id: Only sessions of this owner; None: of all.
            limit: The length of a page, at least 1.
            after: The ``next`` of the previous page. Pages continue after a key, not at an offset: a session that is
                created or deleted between two pages neither repeats nor hides another session.
            order: "key": by namespace and id, by code point. "recent": the session first whose state or items were
                changed last; a session that is changed between two pages may be missed by the later page.
            states: Whether the page includes the states.

        Raises:
            ConfigurationError: The limit is less than 1.
        """
        ...

    async def clear(self, namespace: str | None = None, *, prefix: str = "", owner_id: str | None = None) -> int:
        """Deletes the sessions of a namespace (None: of all) and an owner (None: of all) whose ids have the prefix.

        Returns the number of live sessions that were deleted. Runs in batches: a session that is created during the
        call may stay.
        """
        ...

    async def purge_batch(
        self, *, limit: int = 5000, grace: timedelta = timedelta(0), since: datetime | None = None
    ) -> Purge:
        """Deletes up to ``limit`` rows that expired at least ``grace`` ago, in one short transaction.

        The items of the sessions go with them and count as rows: a batch deletes at most ``limit`` of both together,
        but at least one session.

        Deletes in the order of expiry, and skips rows that other transactions hold. So any number of callers can run
        at once. Never deletes a live session: a session that is renewed during the call stays.

        Args:
            limit: The largest number of sessions and items to delete, at least 1.
            grace: How long ago a row must have expired.
            since: Only rows that expired at this time or later: the ``last`` of the previous batch. None: all.

        Raises:
            ConfigurationError: The limit is less than 1.
        """
        ...

    async def count_expired(self, *, grace: timedelta = timedelta(0), since: datetime | None = None) -> int:
        """Counts the rows that expired at least ``grace`` ago, and at ``since`` or later (None: at any time)."""
        ...

    async def stats(self, namespace: str | None = None) -> Sequence[Stats]:
        """Counts the sessions of each namespace that has rows, in order of the names; None: of all namespaces."""
        ...

    async def close(self) -> None:
        """Closes the provider. A second call does nothing; any other call afterwards raises StorageError."""
        ...

    async def purge_expired(self, *, limit: int = 5000, grace: timedelta = timedelta(0)) -> int:
        """Calls purge_batch() once, and returns the number of deleted rows."""
        return (await self.purge_batch(limit=limit, grace=grace)).deleted

    async def create(self, draft: Draft) -> Creation:
        """create_many() of one."""
        return (await self.create_many([draft]))[0]

    async def get(
        self, key: Key, *, touch: bool = True, owner_id: str | None = None, window: Window | None = None
    ) -> Document | None:
        """get_many() of one."""
        wanted: dict[str, Any] = {} if owner_id is None else {"owners": [owner_id]}
        if window is not None:
            wanted["window"] = window
        return (await self.get_many([key], touch=touch, **wanted))[0]

    async def update(self, write: Write) -> Summary | None:
        """update_many() of one."""
        return (await self.update_many([write]))[0]

    async def update_locked(self, key: Key, apply: Apply) -> Summary | None:
        """update_locked_many() of one."""
        return (await self.update_locked_many([key], apply))[0]

    async def append(self, append: Append) -> Summary | None:
        """append_many() of one."""
        return (await self.append_many([append]))[0]

    async def edit(self, edit: Edit) -> Edited | None:
        """edit_many() of one."""
        return (await self.edit_many([edit]))[0]

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

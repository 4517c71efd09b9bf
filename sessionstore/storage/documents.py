"""The documents of a storage provider: sessions are created, read, written, copied and deleted.

The package's docstring has the rules that hold for every method. A provider implements the methods on batches, and
inherits the methods on single keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from .items import Window
from .records import Apply, Creation, Document, Draft, Fork, Key, Owners, Summary, Versions, Write


class Documents(Protocol):
    """Stores the documents of sessions."""

    async def create_many(self, drafts: Sequence[Draft]) -> Sequence[Creation]:
        """Creates each session, unless the key has a live session: then returns the live session, as an access.

        If the draft names an owner and the live session has another owner, or none, the live session is returned too,
        but not accessed. The caller must not show it to the owner. The items of the draft are appended to a session
        that it creates, and to no other.

        An expired session is replaced by a wholly new one. Of several racing callers, exactly one gets ``created``. If
        a key comes twice, its first draft creates the session, and its second draft finds that session.
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
            window: Which items the documents include; None: no items. State and items are read as of one moment.
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

        Raises:
            SessionConflictError: A session has the id of an item that has to be new. Nothing of the batch was written.
        """
        ...

    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        """Reads each session under an exclusive lock, calls ``apply`` on the document, and writes the result.

        More expensive than update_many(). For contended sessions, whose optimistic locks keep failing: the callers
        queue for the exclusive lock, so none of them starves. The documents include their journals. If ``apply``
        raises, nothing of the batch is written, and the exception propagates. A key must not come twice. ``apply`` is
        called in the thread of the event loop, because it calls a function of the service.

        Returns:
            For each key, the summary after the write; None: there is no live session, or ``apply`` returned None.

        Raises:
            SessionConflictError: As update_many().
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

    async def set_many(self, drafts: Sequence[Draft], *, renew: bool = False) -> Sequence[Summary]:
        """Creates each session, or overwrites the live session of the key.

        An overwritten session keeps its ``created_at`` and its items, and its version grows by one. Its state, TTL,
        deadline, origin and owner become the draft's. If a key comes twice, only its last draft is written.

        A draft whose answer was lost lands once: the provider finds out whether the draft landed, and sends it again if
        it did not. The draft never lands after the call has ended, when another state may have been set. If the
        provider cannot find out, the call raises UpdateOutcomeUnknownError.

        Args:
            drafts: The sessions to set.
            renew: Whether the deadline of an overwritten session counts from now, and not from its ``created_at``. A
                session without a TTL then expires exactly ``max_lifetime`` after the call.
        """
        ...

    async def exists_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        """Returns whether each session is live. This is no access."""
        ...

    async def touch_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        """Accesses each session without reading it, and returns whether it is live. The version does not change."""
        ...

    async def fork(self, fork: Fork) -> Creation | None:
        """Copies a session with its items to a new key, in the storage, as of one moment.

        The copy has the state, TTL, origin and owner of the session, and its items with their positions, ids and times.
        It has an expiry, a version and a journal of its own. Its maximum lifetime counts from the time of the copy.

        Returns:
            The copy, or the live session that has its key, with ``created`` False; None: there is no live session to
            copy, or it has another owner.
        """
        ...

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

    async def get_group(
        self, keys: Sequence[Key], *, touch: bool = True, window: Window | None = None
    ) -> Sequence[Document | None]:
        """get_many() of a few sessions that one caller needs together. A provider may batch the groups of callers."""
        wanted: dict[str, Any] = {} if window is None else {"window": window}
        return await self.get_many(keys, touch=touch, **wanted)

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

    async def set(self, draft: Draft, *, renew: bool = False) -> Summary:
        """set_many() of one."""
        return (await self.set_many([draft], renew=renew))[0]

    async def exists(self, key: Key) -> bool:
        """exists_many() of one."""
        return (await self.exists_many([key]))[0]

    async def touch(self, key: Key) -> bool:
        """touch_many() of one."""
        return (await self.touch_many([key]))[0]

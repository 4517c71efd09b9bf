"""The documents of a synchronous storage.

Written by `python -m tests.sync`, from `sessionstore/storage/documents.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...storage.items import Window
from ...storage.records import Apply, Creation, Document, Draft, Fork, Key, Owners, Summary, Versions, Write
from .stored import Stored


class Documents(Stored):
    """Stores the documents of sessions."""

    def create_many(self, drafts: Sequence[Draft]) -> Sequence[Creation]:
        """Creates each session, unless the key has a live session: then returns the live session, as an access.

        If the draft names an owner and the live session has another owner, or none, the live session is returned too,
        but not accessed. The caller must not show it to the owner. The items of the draft are appended to a session
        that it creates, and to no other.

        An expired session is replaced by a wholly new one. Of several racing callers, exactly one gets ``created``. If
        a key comes twice, its first draft creates the session, and its second draft finds that session.
        """
        return self._run(self.asynchronous.create_many(drafts))

    def get_many(
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
        return self._run(self.asynchronous.get_many(keys, touch=touch, journal=journal, owners=owners, window=window))

    def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
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
        return self._run(self.asynchronous.update_many(writes))

    def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
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
        return self._run(self.asynchronous.update_locked_many(keys, apply))

    def delete_many(self, keys: Sequence[Key], *, owners: Owners = None, versions: Versions = None) -> Sequence[bool]:
        """Deletes each session, and returns whether a live session was deleted.

        Args:
            keys: The sessions to delete.
            owners: An owner for each key. A session with another owner, or none, is not deleted.
            versions: A version for each key. A session at another version is not deleted. If the version is a
                Version, the session's last write has to be the same too: after a restore, the number may come back.
        """
        return self._run(self.asynchronous.delete_many(keys, owners=owners, versions=versions))

    def set_many(self, drafts: Sequence[Draft], *, renew: bool = False) -> Sequence[Summary]:
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
        return self._run(self.asynchronous.set_many(drafts, renew=renew))

    def exists_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        """Returns whether each session is live. This is no access."""
        return self._run(self.asynchronous.exists_many(keys))

    def touch_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        """Accesses each session without reading it, and returns whether it is live. The version does not change."""
        return self._run(self.asynchronous.touch_many(keys))

    def fork(self, fork: Fork) -> Creation | None:
        """Copies a session with its items to a new key, in the storage, as of one moment.

        The copy has the state, TTL, origin and owner of the session, and its items with their positions, ids and times.
        It has an expiry, a version and a journal of its own. Its maximum lifetime counts from the time of the copy.

        Returns:
            The copy, or the live session that has its key, with ``created`` False; None: there is no live session to
            copy, or it has another owner.
        """
        return self._run(self.asynchronous.fork(fork))

    def create(self, draft: Draft) -> Creation:
        """create_many() of one."""
        return self._run(self.asynchronous.create(draft))

    def get(
        self, key: Key, *, touch: bool = True, owner_id: str | None = None, window: Window | None = None
    ) -> Document | None:
        """get_many() of one."""
        return self._run(self.asynchronous.get(key, touch=touch, owner_id=owner_id, window=window))

    def get_group(
        self, keys: Sequence[Key], *, touch: bool = True, window: Window | None = None
    ) -> Sequence[Document | None]:
        """get_many() of a few sessions that one caller needs together. A provider may batch the groups of callers."""
        return self._run(self.asynchronous.get_group(keys, touch=touch, window=window))

    def update(self, write: Write) -> Summary | None:
        """update_many() of one."""
        return self._run(self.asynchronous.update(write))

    def update_locked(self, key: Key, apply: Apply) -> Summary | None:
        """update_locked_many() of one."""
        return self._run(self.asynchronous.update_locked(key, apply))

    def delete(self, key: Key, *, owner_id: str | None = None, version: int | None = None) -> bool:
        """delete_many() of one."""
        return self._run(self.asynchronous.delete(key, owner_id=owner_id, version=version))

    def set(self, draft: Draft, *, renew: bool = False) -> Summary:
        """set_many() of one."""
        return self._run(self.asynchronous.set(draft, renew=renew))

    def exists(self, key: Key) -> bool:
        """exists_many() of one."""
        return self._run(self.asynchronous.exists(key))

    def touch(self, key: Key) -> bool:
        """touch_many() of one."""
        return self._run(self.asynchronous.touch(key))

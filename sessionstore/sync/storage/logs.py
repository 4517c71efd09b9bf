"""The items of a synchronous storage.

Written by `python -m tests.sync`, from `sessionstore/storage/logs.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...storage.changes import Append, Edit, Edited, Found, LogNames
from ...storage.records import Key, Owners, Summary
from .stored import Stored


class Logs(Stored):
    """Stores the items of sessions, finds them by their ids, and names the logs of a session."""

    def append_many(self, appends: Sequence[Append]) -> Sequence[Summary | None]:
        """Appends items to each session, the items of one append at consecutive positions and in the order given.

        Appends never conflict: they need no read, and any number of callers may append at once. Appends of one key land
        in the order given. An append with a draft creates the session if there is no live one. If several such appends
        race, one of them creates the session, and all of them append to it.

        Returns:
            For each append, the summary after it, with the positions of its items, and whether it created the session.
            None: nothing was appended. Either there is no live session, or the session has another owner, another last
            position or the idempotency key already. Read the session to learn which.

        Raises:
            StorageUnavailableError: Another transaction holds the row for too long.
        """
        return self._run(self.asynchronous.append_many(appends))

    def edit_many(self, edits: Sequence[Edit]) -> Sequence[Edited | None]:
        """Removes or replaces items of each session, one session after the other, under an exclusive lock.

        Of several callers that remove the newest items at once, each gets different items.

        Returns:
            For each edit, its result; None: there is no live session, or it has another owner.

        Raises:
            StorageUnavailableError: Another transaction holds the row for too long.
        """
        return self._run(self.asynchronous.edit_many(edits))

    def find_many(self, namespace: str, ids: Sequence[str], *, owner_id: str | None = None) -> Sequence[Found | None]:
        """Finds the item with each id, in any live session of the namespace; None: there is none. This is no access.

        Args:
            namespace: The namespace of the sessions.
            ids: The ids of the items.
            owner_id: Only sessions of this owner; None: of any owner.

        Returns:
            For each id, the item and its session. If several sessions have an item with the id, as a session and its
            forks do, the session that was created first.
        """
        return self._run(self.asynchronous.find_many(namespace, ids, owner_id=owner_id))

    def list_logs_many(self, keys: Sequence[Key], *, owners: Owners = None) -> Sequence[LogNames | None]:
        """Names the logs of each session that have items; None: there is no live session. This is no access.

        The cost depends on the number of logs, and not on the number of items.

        Args:
            keys: The sessions.
            owners: An owner for each key. If the session has another owner, or none, the answer is None.
        """
        return self._run(self.asynchronous.list_logs_many(keys, owners=owners))

    def append(self, append: Append) -> Summary | None:
        """append_many() of one."""
        return self._run(self.asynchronous.append(append))

    def edit(self, edit: Edit) -> Edited | None:
        """edit_many() of one."""
        return self._run(self.asynchronous.edit(edit))

    def list_logs(self, key: Key, *, owner_id: str | None = None) -> LogNames | None:
        """list_logs_many() of one."""
        return self._run(self.asynchronous.list_logs(key, owner_id=owner_id))

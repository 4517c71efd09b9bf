"""The items of a storage provider: the logs of sessions are appended to and edited.

The package's docstring has the rules that hold for every method.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from .changes import Append, Edit, Edited, Found, LogNames
from .records import Key, Owners, Summary


class Logs(Protocol):
    """Stores the items of sessions, finds them by their ids, and names the logs of a session."""

    async def append_many(self, appends: Sequence[Append]) -> Sequence[Summary | None]:
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
        """Finds the item with each id, in any live session of the namespace; None: there is none. This is no access.

        Args:
            namespace: The namespace of the sessions.
            ids: The ids of the items.
            owner_id: Only sessions of this owner; None: of any owner.

        Returns:
            For each id, the item and its session. If several sessions have an item with the id, as a session and its
            forks do, the session that was created first.
        """
        ...

    async def list_logs_many(self, keys: Sequence[Key], *, owners: Owners = None) -> Sequence[LogNames | None]:
        """Names the logs of each session that have items; None: there is no live session. This is no access.

        The cost depends on the number of logs, and not on the number of items.

        Args:
            keys: The sessions.
            owners: An owner for each key. If the session has another owner, or none, the answer is None.
        """
        ...

    async def append(self, append: Append) -> Summary | None:
        """append_many() of one."""
        return (await self.append_many([append]))[0]

    async def edit(self, edit: Edit) -> Edited | None:
        """edit_many() of one."""
        return (await self.edit_many([edit]))[0]

    async def list_logs(self, key: Key, *, owner_id: str | None = None) -> LogNames | None:
        """list_logs_many() of one."""
        wanted: dict[str, Any] = {} if owner_id is None else {"owners": [owner_id]}
        return (await self.list_logs_many([key], **wanted))[0]

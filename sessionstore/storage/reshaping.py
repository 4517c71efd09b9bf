"""Rewriting: states and items of older shape versions are found, and written in the current shape.

Providers of this package implement this protocol beside StorageProvider. Other providers need it only for
`sessionstore migrate states`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from .items import StoredItem
from .records import Document, Key, Write


class OutdatedItem(NamedTuple):
    """An item that was written under another shape version, with its session and the name of its log."""

    key: Key
    log: str
    item: StoredItem


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A new text for an item.

    Attributes:
        found: The item as it was read.
        text: The new JSON text.
        version: The shape version of the new text.
    """

    found: OutdatedItem
    text: str
    version: int


@runtime_checkable
class Reshaping(Protocol):
    """Finds and rewrites states and items of other shape versions. No call is an access."""

    async def outdated(
        self, namespace: str, version: int, *, limit: int, after: Key | None = None
    ) -> Sequence[Document]:
        """Reads live sessions whose states are of another shape version, in key order.

        Args:
            namespace: The namespace of the sessions.
            version: The shape version that the states do not have.
            limit: The largest number of sessions, at least 1.
            after: Only sessions behind this key; None: from the first one.
        """
        ...

    async def rewrite_many(self, writes: Sequence[Write]) -> Sequence[bool]:
        """Writes each state under the optimistic lock of update_many(), without an access.

        The write raises the version and enters itself in the journal. The expiry and all times stay. The writes have no
        items and no idempotency keys. A key must not come twice.

        Returns:
            For each write, whether it landed. False: the session is gone, has changed, or is held by another
            transaction.
        """
        ...

    async def outdated_items(
        self, namespace: str, version: int, *, limit: int, after: OutdatedItem | None = None
    ) -> Sequence[OutdatedItem]:
        """Reads items of live sessions that are of another shape version, by session, log and position.

        Args:
            namespace: The namespace of the sessions.
            version: The shape version that the items do not have.
            limit: The largest number of items, at least 1.
            after: Only items behind this one; None: from the first one.
        """
        ...

    async def rewrite_items(self, rewrites: Sequence[Rewrite]) -> Sequence[bool]:
        """Replaces the text of each item, unless the item is gone or has changed since it was read.

        Positions, ids and times stay, and so does the row of the session.

        Returns:
            For each item, whether its text was replaced.
        """
        ...

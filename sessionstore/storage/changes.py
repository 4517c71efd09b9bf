"""The records of the calls that change or find the items of a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..ids import first_version, started_at
from .items import NewItem, StoredItem
from .journal import has_key, new_write_id
from .records import Draft, Key, Summary


@dataclass(slots=True)
class Append:
    """Items to append to a session, all or none, next to each other.

    It is not frozen, because making a frozen one takes three times as long. No code changes it.

    Attributes:
        key: The session.
        items: The items, in order. Two items of one append never have the same id.
        id: The id of the append in the journal. The append lands at most once, however often it is sent.
        owner_id: Only a session of this owner; None: of any.
        expected_position: Only if the last position of the session is this; None: whatever it is.
        digest: The digest of an idempotency key, see journal.py. The append does not land if the row keeps the digest;
            otherwise the row keeps it from now on. None: there is no key.
        keys: How many idempotency keys the row keeps.
        keep: How many items each log in ``items`` keeps; None: all.
        create: The session to create, with the items, if there is no live one; its owner is ``owner_id``, and it has no
            items of its own. None: none is created.
    """

    key: Key
    items: Sequence[NewItem]
    id: str = field(default_factory=new_write_id)
    owner_id: str | None = None
    expected_position: int | None = None
    digest: str | None = None
    keys: int = 0
    keep: int | None = None
    create: Draft | None = None

    @property
    def creates(self) -> bool:
        """Whether the append creates a session if there is no live one."""
        return self.create is not None and not self.expected_position

    def anew(self) -> Append:
        """Returns the append under a new id, and its draft under a new version, so that it may be sent once more."""
        create = None if self.create is None else replace(self.create, version=first_version())
        return replace(self, id=new_write_id(), create=create)

    def suits(self, summary: Summary, keys: str) -> bool:
        """Whether a live session meets the conditions of the append.

        Args:
            summary: The session.
            keys: The idempotency keys that its row keeps.
        """
        return (
            self.owner_id in (None, summary.owner_id)
            and self.expected_position in (None, summary.last_position)
            and (self.digest is None or not has_key(keys, self.digest))
        )


class SeenItems(NamedTuple):
    """What a caller saw of the items of a session. It differs from what is there once items were added or removed.

    Attributes:
        version: A version of the session, which tells it from a later session of the same key.
        last_position: The position of the item that was appended last.
        item_count: The number of items in all logs.
    """

    version: int
    last_position: int
    item_count: int

    def still(self, summary: Summary) -> bool:
        """Whether the session is the same one and has had no item added or removed since."""
        there = (summary.last_position, summary.item_count)
        return there == (self.last_position, self.item_count) and started_at(summary.version, self.version)


@dataclass(frozen=True, slots=True)
class Edit:
    """A removal or replacement of items of one log. Asks for one of the first four kinds of change.

    Attributes:
        key: The session.
        log: The name of the log.
        newest: Remove this many of the newest items, and return them. If one of them is of a later shape version than
            ``known``, nothing is removed.
        after: Remove all items behind this position, and append ``items``.
        keep: Remove all items except this many of the newest; with ``after``, once ``items`` are appended.
        put: Replace the text of the item at this position.
        items: The items to append, with ``after``. Their ids may be those of removed items.
        id: The id of the edit in the journal.
        owner_id: Only a session of this owner; None: of any.
        expected_position: Only if the last position of the session is this; None: whatever it is.
        seen: Only if no item was added or removed since the caller saw the items; None: whatever happened.
        known: The latest shape version of items that the caller can read; None: any. For ``newest``.
        put_version: The shape version of the text of ``put``.
    """

    key: Key
    log: str = ""
    newest: int | None = None
    after: int | None = None
    keep: int | None = None
    put: tuple[int, str] | None = None
    items: Sequence[NewItem] = ()
    id: str = field(default_factory=new_write_id)
    owner_id: str | None = None
    expected_position: int | None = None
    seen: SeenItems | None = None
    known: int | None = None
    put_version: int = 1

    def suits(self, summary: Summary) -> bool:
        """Whether a live session of the owner meets the other conditions of the edit."""
        return self.expected_position in (None, summary.last_position) and (
            self.seen is None or self.seen.still(summary)
        )


class Edited(NamedTuple):
    """The result of an edit.

    Attributes:
        summary: The session after the edit.
        done: Whether the edit was done. False: the session does not suit the edit, or ``newest`` found an item that the
            caller cannot read. Nothing was changed.
        changed: How many items were removed, or replaced by ``put``.
        removed: The items that ``newest`` removed, oldest first; if it was not done, an item of a later version.
    """

    summary: Summary
    done: bool
    changed: int = 0
    removed: Sequence[StoredItem] = ()


class LogNames(NamedTuple):
    """The names of the logs of a session that have items, in order by code point, and the session."""

    summary: Summary
    names: Sequence[str]


class Found(NamedTuple):
    """An item that was found by its id, and the session that has it."""

    summary: Summary
    item: StoredItem

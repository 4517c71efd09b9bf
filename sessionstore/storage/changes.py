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
    """Items to append to a session, at consecutive positions. Either all of them are appended, or none.

    The class is not frozen, because making a frozen object takes three times as long. No code changes an object.

    Attributes:
        key: The session.
        items: The items, in order. Two items of one append never have the same id.
        id: The id of the append in the journal. The append lands at most once, however often it is sent.
        owner_id: Append only to a session of this owner; None: of any owner.
        expected_position: Append only if the last position of the session is this one; None: whichever it is.
        digest: The digest of an idempotency key, see journal.py. If the row has the digest already, the append does not
            land. Otherwise the append adds the digest to the row. None: there is no key.
        keys: How many idempotency keys the row keeps.
        keep: How many items each log in ``items`` keeps; None: all.
        create: The session to create if there is no live one. Its owner is ``owner_id``, and the draft has no items of
            its own. None: no session is created.
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
    """What a caller saw of the items of a session, to notice whether items were added or removed since.

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
    """A removal or replacement of items of one log. One of ``newest``, ``after``, ``keep`` and ``put`` is given.

    Attributes:
        key: The session.
        log: The name of the log.
        newest: Remove this many of the newest items, and return them. If one of them is of a later shape version than
            ``known``, nothing is removed.
        after: Remove all items behind this position, and append ``items``.
        keep: Remove all items except this many of the newest. May be given with ``after`` too, and then counts
            ``items``.
        put: Replace the text of the item at this position.
        items: The items to append, with ``after``. Their ids may be those of removed items.
        id: The id of the edit in the journal.
        owner_id: Edit only a session of this owner; None: of any owner.
        expected_position: Edit only if the last position of the session is this one; None: whichever it is.
        seen: Edit only if no item was added or removed since the caller saw the items; None: in any case.
        known: With ``newest``: the latest shape version that the caller can read; None: any version.
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
        """Whether a live session meets the conditions of the edit, apart from the owner."""
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
        removed: The items that ``newest`` removed, oldest first. If ``newest`` found an item that the caller cannot
            read, that item.
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

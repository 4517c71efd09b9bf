"""The write journal of a row: its last writes and idempotency keys. It shows whether an unanswered write landed."""

from __future__ import annotations

import os
import secrets
from base64 import b64encode, urlsafe_b64encode
from contextlib import suppress
from enum import Enum, auto
from hashlib import blake2b
from typing import Final, NamedTuple

WRITES: Final = 16
"""The number of writes that a journal keeps."""

ID_CHARS: Final = 8
"""The length of the id of a write."""

_ENTRY_CHARS: Final = ID_CHARS + 4
JOURNAL_CHARS: Final = WRITES * _ENTRY_CHARS
"""The length of a full journal. Entries have a fixed width, so that every database can cut the text with substr."""

_KEY_BYTES: Final = 9
KEY_CHARS: Final = 12
"""The length of the digest of an idempotency key."""


class Journal(NamedTuple):
    """The journal of a row, as three texts.

    Attributes:
        writes: The entries of the last writes of the state, the newest first.
        keys: The digests of the last idempotency keys, the newest first.
        appends: The entries of the last changes of the items, the newest first.
    """

    writes: str
    keys: str
    appends: str = ""


APPENDS: Final = 16
"""The number of changes of the items that a journal keeps."""

COUNT_CHARS: Final = 5
MOST_ITEMS: Final = 16**COUNT_CHARS - 1
"""The largest number of items that one append adds. An entry of the journal has no room for a larger number."""

APPEND_CHARS: Final = 1 + ID_CHARS + COUNT_CHARS
"""The length of an entry: a mark, the id, and the number of positions that the change took, in hexadecimal."""

APPENDS_CHARS: Final = APPENDS * APPEND_CHARS

MARK: Final = "."
"""The first character of each entry. No id contains it, so a search for it and an id matches whole entries only."""


class Fate(Enum):
    """The fate of a write."""

    LANDED = auto()
    NOT_LANDED = auto()
    """The write has not landed. After another write has landed, it cannot land: its optimistic lock fails."""
    UNTOLD = auto()
    """The journal cannot tell: too many writes came later."""


def new_write_id() -> str:
    """Returns a new id for a write: 48 random bits from the operating system."""
    try:
        return _IDS.pop()
    except IndexError:
        text = b64encode(os.urandom(6 * _IDS_AT_ONCE)).decode()
        _IDS.extend(text[at : at + ID_CHARS] for at in range(0, len(text), ID_CHARS))
        return new_write_id()


# The random bytes of many ids are read at once: a call of os.urandom() takes longer than all else that an id needs.
_IDS_AT_ONCE: Final = 64
_IDS: Final[list[str]] = []
# A forked child must not use the ids that its parent has in stock.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_IDS.clear)


def new_receipt() -> str:
    """Returns a new receipt for a deletion: 96 random bits."""
    return secrets.token_urlsafe(12)


def entry(write_id: str, count: int) -> str:
    """Returns the journal entry of a write: its id, and the number of versions that it added."""
    return f"{write_id}{count:04x}"


def counted_after(writes: str, write_id: str) -> int | None:
    """Returns how many versions the writes after this one added; None: the journal has no entry of this write."""
    count = 0
    for at in range(0, len(writes), _ENTRY_CHARS):
        if writes[at : at + ID_CHARS] == write_id:
            return count
        with suppress(ValueError):  # another program wrote to the column
            count += int(writes[at + ID_CHARS : at + _ENTRY_CHARS], 16)
    return None


def fate(write_id: str, read: int, version: int, writes: str | None) -> Fate:
    """Returns the fate of a write.

    Args:
        write_id: The id of the write.
        read: The version that the write was based on.
        version: The version that the row has now.
        writes: The journal that the row has now; None: the storage keeps no journal.
    """
    unaccounted = version - read
    if unaccounted <= 0:
        return Fate.NOT_LANDED
    for at in range(0, len(writes or ""), _ENTRY_CHARS):
        assert writes is not None
        if writes[at : at + ID_CHARS] == write_id:
            return Fate.LANDED
        try:
            unaccounted -= int(writes[at + ID_CHARS : at + _ENTRY_CHARS], 16)
        except ValueError:  # another program wrote to the column
            return Fate.UNTOLD
        if unaccounted <= 0:
            return Fate.NOT_LANDED
    return Fate.UNTOLD


def key_digest(idempotency_key: str) -> str:
    """Returns the digest of an idempotency key that journals keep: 72 bits of its BLAKE2b hash (RFC 7693)."""
    return urlsafe_b64encode(blake2b(str.__str__(idempotency_key).encode(), digest_size=_KEY_BYTES).digest()).decode()


def has_key(keys: str, digest: str) -> bool:
    """Whether the digest is among the kept keys."""
    return any(keys[at : at + KEY_CHARS] == digest for at in range(0, len(keys), KEY_CHARS))


def with_key(keys: str, digest: str, most: int) -> str:
    """Returns the kept keys with the digest added as the newest, cut to at most ``most`` keys."""
    return (digest + keys)[: most * KEY_CHARS]


def append_entry(write_id: str, count: int) -> str:
    """Returns the journal entry of a change of the items: its id, and the number of positions that it took."""
    return f"{MARK}{write_id}{count:0{COUNT_CHARS}x}"


def appended_at(appends: str, write_id: str, last_position: int) -> tuple[int, int] | None:
    """Returns the first and the last position that a change of the items took.

    Args:
        appends: The journal that the row has now.
        write_id: The id of the change.
        last_position: The last position that the row has now.

    Returns:
        The two positions. If the change took no position, the first is greater than the last by one. None: the journal
        has no entry of the change, because the change did not land, or because too many changes came later.
    """
    for at in range(0, len(appends), APPEND_CHARS):
        count = int(appends[at + 1 + ID_CHARS : at + APPEND_CHARS], 16)
        if appends[at + 1 : at + 1 + ID_CHARS] == write_id:
            return last_position - count + 1, last_position
        last_position -= count
    return None

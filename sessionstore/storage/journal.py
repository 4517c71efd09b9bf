"""What a row remembers of its last writes, and what that tells of one whose answer was lost."""

from __future__ import annotations

import os
import secrets
from base64 import b64encode, urlsafe_b64encode
from enum import Enum, auto
from hashlib import blake2b
from typing import Final, NamedTuple

WRITES: Final = 16
"""How many writes a row remembers."""

ID_CHARS: Final = 8
"""How long the id of a write is."""

_ENTRY_CHARS: Final = ID_CHARS + 4
JOURNAL_CHARS: Final = WRITES * _ENTRY_CHARS
"""How long the text is that they make, newest first. Of a fixed width, so that any database can cut it."""

_KEY_BYTES: Final = 9
_KEY_CHARS: Final = 12


class Journal(NamedTuple):
    """What a row remembers: its last writes, and the idempotency keys of its last updates that had one."""

    writes: str
    keys: str


class Fate(Enum):
    """What became of a write."""

    LANDED = auto()
    NOT_LANDED = auto()
    """Not so far; and it never will, once another write is there, because it names the version that it read."""
    UNTOLD = auto()
    """More writes came after it than the row remembers, or would have."""


def new_write_id() -> str:
    """An id that no other of the last writes of a row has: 48 random bits, from the operating system."""
    try:
        return _IDS.pop()
    except IndexError:
        text = b64encode(os.urandom(6 * _IDS_AT_ONCE)).decode()
        _IDS.extend(text[at : at + ID_CHARS] for at in range(0, len(text), ID_CHARS))
        return new_write_id()


# Each of them asked for alone takes longer than all that is done with it.
_IDS_AT_ONCE: Final = 64
_IDS: Final[list[str]] = []
# A process that was forked would go on with the same.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_IDS.clear)


def new_receipt() -> str:
    """An id that no other deletion has: 96 random bits."""
    return secrets.token_urlsafe(12)


def entry(write_id: str, count: int) -> str:
    """A write as the row remembers it: its id, and how many versions it took."""
    return f"{write_id}{count:04x}"


def fate(write_id: str, read: int, version: int, writes: str | None) -> Fate:
    """Tells what became of a write.

    Args:
        write_id: Its id.
        read: The version that it named.
        version: The version that the row has now.
        writes: What the row remembers now; None: it keeps no journal.
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
        except ValueError:  # somebody else wrote there
            return Fate.UNTOLD
        if unaccounted <= 0:
            return Fate.NOT_LANDED
    return Fate.UNTOLD


def key_digest(idempotency_key: str) -> str:
    """An idempotency key as rows remember it: 72 bits of its BLAKE2b (RFC 7693)."""
    return urlsafe_b64encode(blake2b(str.__str__(idempotency_key).encode(), digest_size=_KEY_BYTES).digest()).decode()


def has_key(keys: str, digest: str) -> bool:
    """Whether this key is among those remembered."""
    return any(keys[at : at + _KEY_CHARS] == digest for at in range(0, len(keys), _KEY_CHARS))


def with_key(keys: str, digest: str, most: int) -> str:
    """The keys remembered after one more, the newest first, and at most so many."""
    return (digest + keys)[: most * _KEY_CHARS]

"""Texts: the bytes that Django's serializers make, as characters that every storage can keep."""

from __future__ import annotations

import re
from typing import Final

_NUL: Final = "\u0100"
"""Stands for the byte 0. The other bytes are the characters up to U+00FF."""

_UNSTORABLE: Final = re.compile("[\0\x01\ud800-\udfff]")
"""The characters that a key cannot hold, and U+0001, with which their replacements begin."""

_ESCAPED: Final = re.compile("\x01([0-9a-f]{4})")


def text_of(serialized: bytes) -> str:
    """Returns the bytes of a serializer as text. A serializer may make any bytes, as pickle does."""
    return serialized.decode("latin-1").replace("\0", _NUL)


def bytes_of(text: str) -> bytes:
    """Returns the bytes that a text stands for."""
    return text.replace(_NUL, "\0").encode("latin-1")


def stored_key(key: str) -> str:
    """Returns a key of a session as it is stored. A key without a NUL or a surrogate is stored as it is."""
    return _UNSTORABLE.sub(lambda found: f"\x01{ord(found[0]):04x}", key)


def key_of(stored: str) -> str:
    """Returns the key of a stored key."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), stored)

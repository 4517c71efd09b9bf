"""Session ids made of a framework's names, which may have any length and any characters."""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from typing import Final

from ..ids import SessionId

_MOST_PARTS: Final = 3
_LONGEST: Final = 84
"""Three parts of this length and two separators make 254 characters; an id has at most 255."""
_KEPT: Final = 32
_EMPTY: Final = "~"

# The separator, the marks of an escape and of a digest, and the characters that no session id may hold.
_ESCAPED: Final = re.compile(r"[/%~\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_ESCAPE: Final = re.compile("%u([0-9A-F]{4})|%([0-9A-F]{2})")


def joined(*parts: str) -> SessionId:
    """Joins up to three strings of any text to one session id, owner id or namespace.

    Different strings make different ids. Short strings without control characters, ``/``, ``%`` and ``~`` stay as
    they are, joined by ``/``. A character that an id cannot hold is escaped as in a URL. A part that is too long is
    cut, and a SHA-256 digest of the whole part follows (FIPS 180-4); the part cannot be read from the id any more.

    Args:
        *parts: One to three strings, which may be empty.
    """
    assert 1 <= len(parts) <= _MOST_PARTS
    return "/".join(map(_fitting, parts))


def prefix_of(*parts: str) -> str:
    """Returns the prefix of all ids of ``joined(*parts, another)``. No other id of that many parts has it."""
    return f"{joined(*parts)}/"


def whole(*parts: str) -> str:
    """Joins the parts without a limit on the length. ``parts_of()`` reads the parts from the result.

    The result equals ``joined(*parts)`` unless a part is too long for an id.
    """
    return "/".join(_escaped(part) or _EMPTY for part in parts)


def parts_of(name: str) -> list[str]:
    """Returns the parts of a name that ``whole()`` made."""
    return ["" if part == _EMPTY else _ESCAPE.sub(_unescaped, part) for part in name.split("/")]


def digest(text: str) -> str:
    """Returns the SHA-256 digest of a text, in 43 characters that every id can hold."""
    return base64.urlsafe_b64encode(sha256(text.encode("utf-8", "surrogatepass")).digest()).rstrip(b"=").decode()


def _fitting(part: str) -> str:
    escaped = _escaped(part)
    if not escaped:
        return _EMPTY
    if len(escaped) <= _LONGEST:
        return escaped
    return f"{escaped[:_KEPT]}~{digest(part)}"


def _escaped(part: str) -> str:
    return _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}" if found[0] < "\x80" else f"%u{ord(found[0]):04X}", part)


def _unescaped(escape: re.Match[str]) -> str:
    return chr(int(escape[1] or escape[2], 16))

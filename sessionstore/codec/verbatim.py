"""JSON text that is read back exactly as it was written: no key moves, no character and no digit changes.

orjson writes and reads ordinary values. It cannot handle lone surrogates, integers beyond 64 bits and deep nesting. A
writer and a reader in Python (fallback.py) handle these. Their texts begin with one space, which JSON ignores, so that
loads() knows at once which reader to call. A text without the space is read correctly too, only slower.

Every text is UTF-8. NUL and lone surrogates are escaped, and there is no space between tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import orjson

from .fallback import MAX_DEPTH, read, write

__all__ = ["MAX_DEPTH", "copied", "dumps", "loads", "loads_all"]

_MARK: Final = " "
_MARK_BYTE: Final = ord(_MARK)
_MOST_CONTAINERS: Final = 1_000_000  # a value that contains itself exceeds it
_LEAVES: Final = frozenset({str, int, bool, type(None)})
# Each integer beyond 64 bits has at least 19 digits.
_LONG_NUMBER: Final = re.compile("[0-9]{19}")
_AT_ONCE: Final = 16
"""How many texts loads_all() compares at once. More would save little, and take more memory."""


def dumps(value: Any) -> bytes:
    """Returns the JSON text of a value that consists of dict, list, str, int, float, bool and None.

    Raises:
        Refused: The value holds another type (also a subclass, which would come back as the plain type), a key that
            is no string, NaN or an infinity, or more than MAX_DEPTH levels.
    """
    if _suits_orjson(value):
        try:
            return orjson.dumps(value)
        except TypeError:  # a key that is no string, a lone surrogate, or an integer beyond 64 bits
            pass
    return f"{_MARK}{write(value)}".encode()


def loads(text: str) -> Any:
    """Returns the value of a JSON text, also of a text that another program wrote.

    Raises:
        ValueError: The text is no JSON.
        Refused: Python cannot hold the value, or the value has more than MAX_DEPTH levels.
    """
    if not text.startswith(_MARK):
        try:
            value = orjson.loads(text)
        except ValueError:
            pass
        else:
            if not _holds_long_integer(text, value):
                return value
    return read(text)


def loads_all(texts: Sequence[str]) -> list[Any]:
    """Returns the values of several texts, as loads() does for each one, in a third of the time.

    Raises:
        ValueError: As loads().
        Refused: As loads().
    """
    values: list[Any] = []
    for at in range(0, len(texts), _AT_ONCE):
        part = texts[at : at + _AT_ONCE]
        try:
            read_values = [orjson.loads(text) for text in part]
            # orjson reads long integers as floats and then writes another text. So equal texts prove exact values.
            if orjson.dumps(read_values) != f"[{','.join(part)}]".encode():
                read_values = [loads(text) for text in part]
        except (ValueError, TypeError):  # no JSON for orjson, or too deep for its writer
            read_values = [loads(text) for text in part]
        values += read_values
    return values


def copied(text: bytes) -> Any:
    """Returns the value of a text that dumps() has just written, as a copy of the given value."""
    return read(text.decode()) if text[0] == _MARK_BYTE else orjson.loads(text)


def _holds_long_integer(text: str, value: Any) -> bool:
    """Whether the text may hold an integer beyond 64 bits, which orjson reads as a float."""
    try:
        # The two are equal for every text that dumps() wrote. Writing again takes less time than searching the text.
        if orjson.dumps(value) == text.encode():
            return False
    except TypeError:  # too deep for orjson's writer
        pass
    return _LONG_NUMBER.search(text) is not None


def _suits_orjson(value: Any) -> bool:
    """Whether orjson would write the value unchanged or refuse it."""
    containers: list[Any] = [(value,)]
    for container in containers:  # the loop adds nested containers to the list
        for member in container.values() if type(container) is dict else container:
            kind = type(member)
            if kind in _LEAVES:
                continue
            if kind is dict or kind is list:
                containers.append(member)
            elif kind is not float or member - member != 0:  # orjson makes null of NaN and infinities
                return False
        if len(containers) > _MOST_CONTAINERS:
            return False
    return True

"""JSON text (RFC 8259) that every storage gives back unchanged, in UTF-8 without insignificant space.

PostgreSQL stores JSON as `jsonb`, which refuses NUL characters and keeps numbers as decimals. SQLite and the JSON
parsers have limits of their own. A value that one of them would change or refuse is refused here, with its path.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

import orjson

MAX_DEPTH: Final = 200
"""How deep arrays and objects may be nested. pydantic reads 200 levels, orjson writes 254, SQLite reads 1000."""

_MAX_INT = 2**64 - 1
_MIN_INT = -(2**63)
# From this value on, repr() and orjson write an exponent. jsonb turns such a float into an integer: 1e16 would come
# back as 10000000000000000.
_EXPONENT_FROM = 1e16
_SHOWN_KEY_CHARS = 40
_SHOWN_NAME_CHARS = 80
_SURROGATE = re.compile("[\ud800-\udfff]")
_REMOVE = 'remove it, or give the manager unstorable_text="replace"'


class Refused(Exception):
    """A value cannot be stored. ``reason`` says why, ``path`` where the value is in the document."""

    def __init__(self, reason: str, steps: Iterable[object] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self._steps: list[str | int] = []
        for step in reversed(list(steps)):
            self.inside(step)

    def inside(self, step: object) -> None:
        """Adds a key or index before the path. Callers add the innermost step first."""
        if isinstance(step, str):
            self._steps.append(str.__str__(step))  # a subclass of str may have a __str__ of its own
        elif isinstance(step, int) and not isinstance(step, bool):
            self._steps.append(int(step))
        else:
            self._steps.append(f"<{type(step).__name__}>")

    @property
    def steps(self) -> list[str | int]:
        return self._steps[::-1]

    @property
    def path(self) -> str:
        return jsonpath(self.steps)


def named(kind: type) -> str:
    """The name of a type with its article, for messages: "a dict", "an int"."""
    name = kind.__name__[:_SHOWN_NAME_CHARS]
    return f"an {name}" if name[:1] in "AEIOUaeiou" else f"a {name}"


def jsonpath(steps: Any) -> str:
    """Returns the JSONPath (RFC 9535) of a place, in ASCII. Long keys and long paths are shortened."""
    path = "$"
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step.isidentifier() and step.isascii() and len(step) <= _SHOWN_KEY_CHARS:
            path += f".{step}"
        else:
            shown = step[:_SHOWN_KEY_CHARS] + ("..." if len(step) > _SHOWN_KEY_CHARS else "")
            path += f"[{json.dumps(shown)}]"
    return path if len(path) <= 300 else f"{path[:200]} ... {path[-90:]}"


def dumps(value: Any) -> bytes:
    """Returns the JSON text of a value that consists of dict, list, str, int, float, bool and None.

    Raises:
        Refused: The value holds another type (also a subclass, which would come back as the plain type), a key that
            is no string, NaN or an infinity, a NUL, a lone surrogate, an integer beyond 64 bits, or more than
            MAX_DEPTH levels.
    """
    if _is_plain((value,), 0):
        # _is_plain() does not look into texts, keys and integers. orjson refuses the invalid ones, except that it
        # escapes NUL.
        with suppress(TypeError):
            text = orjson.dumps(value)
            if rb"\u0000" not in text:
                return text
    return orjson.dumps(_plain_floats(value) if _check(value, 0) else value)


def loads(text: str | bytes) -> Any:
    """Returns the value of a JSON text.

    Raises:
        ValueError: The text is no JSON.
    """
    return orjson.loads(text)


def in_jsonb_order(value: Any) -> Any:
    """The value with the keys of its objects sorted as jsonb sorts them: by length, then by bytes."""
    if type(value) is dict:
        return {key: in_jsonb_order(value[key]) for key in sorted(value, key=_jsonb_rank)}
    if type(value) is list:
        return [in_jsonb_order(member) for member in value]
    return value


def _jsonb_rank(key: str) -> tuple[int, bytes]:
    text = key.encode(errors="surrogatepass")
    return len(text), text


def _is_plain(values: Iterable[Any], depth: int) -> bool:
    """Whether no value needs _check(). This fast path takes half the time and suffices for nearly all states."""
    for value in values:
        kind = type(value)
        if kind is str or kind is int:
            continue
        if kind is dict or kind is list:
            if depth == MAX_DEPTH or not _is_plain(value.values() if kind is dict else value, depth + 1):
                return False
        elif kind is float:
            if not 0 < abs(value) < _EXPONENT_FROM:
                return False
        elif kind is not bool and value is not None:
            return False
    return True


def _check(value: Any, depth: int) -> bool:
    """Raises Refused if the value cannot be stored; returns whether it holds floats that need _plain_floats()."""
    kind = type(value)
    if kind is dict or kind is list:
        if depth == MAX_DEPTH:
            raise Refused(f"is nested more than {MAX_DEPTH} levels deep; flatten it")
        return _check_object(value, depth + 1) if kind is dict else _check_array(value, depth + 1)
    if kind is str:
        _check_text(value)
        return False
    if kind is bool or value is None:
        return False
    if kind is int:
        if not _MIN_INT <= value <= _MAX_INT:
            raise Refused("is an integer that does not fit 64 bits; store it as a string")
        return False
    if kind is float:
        if not math.isfinite(value):
            raise Refused("is not a finite number, which JSON cannot hold; use None or a string")
        return not -_EXPONENT_FROM < value < _EXPONENT_FROM or (value == 0 and math.copysign(1, value) < 0)
    raise Refused(f"is {named(kind)}, which JSON cannot give back; convert it, or use a state_type that does")


def _check_object(members: dict[Any, Any], depth: int) -> bool:
    special = False
    for key, value in members.items():
        try:
            if type(key) is not str:
                raise Refused(f"is a key of type {type(key).__name__}, but JSON keys are strings; convert the key")
            _check_text(key)
            special |= _check(value, depth)
        except Refused as refused:
            refused.inside(key)
            raise
    return special


def _check_array(values: list[Any], depth: int) -> bool:
    special = False
    for index, value in enumerate(values):
        try:
            special |= _check(value, depth)
        except Refused as refused:
            refused.inside(index)
            raise
    return special


def _check_text(text: str) -> None:
    if "\0" in text:
        raise Refused(f"holds a NUL character (U+0000), which PostgreSQL cannot store; {_REMOVE}")
    if _SURROGATE.search(text):
        raise Refused(f"holds a lone surrogate, which UTF-8 cannot encode; {_REMOVE}")


def _plain_floats(value: Any) -> Any:
    """Returns the value with large floats written out in decimal digits, and with 0.0 for -0.0, as in jsonb."""
    if type(value) is dict:
        return {key: _plain_floats(member) for key, member in value.items()}
    if type(value) is list:
        return [_plain_floats(member) for member in value]
    if type(value) is not float or 0 < abs(value) < _EXPONENT_FROM:
        return value
    return orjson.Fragment(f"{Decimal(repr(value)):f}.0" if value else b"0.0")

"""Writes and reads JSON text in Python, without recursion. Used for values that orjson cannot write or read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final

from .jsontext import Refused, named
from .long_integers import digits_of, integer_of

MAX_DEPTH: Final = 900
"""How deep arrays and objects may be nested. SQLite reads 1000 levels, orjson 1024, and a batch adds a few levels."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_WORD: Final = re.compile(r"true|false|null|(-?(?:0|[1-9][0-9]*))((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_TOO_DEEP: Final = f"is nested more than {MAX_DEPTH} levels deep; flatten it"

_quoted: Final = json.JSONEncoder(ensure_ascii=False).encode
_unquoted: Final = json.JSONDecoder().raw_decode


def write(value: Any) -> str:
    """Returns the JSON text of a value, without lone surrogates and without space between tokens.

    Raises:
        Refused: As verbatim.dumps().
    """
    pieces: list[str] = []
    levels = [_Level([value])]
    try:
        while levels:
            opened = _write_until_opened(levels[-1], pieces)
            if opened is None:
                levels.pop()
            elif len(levels) > MAX_DEPTH:
                raise Refused(_TOO_DEEP)
            else:
                levels.append(opened)
    except Refused as refused:
        for level in reversed(levels[1:]):
            refused.inside(level.step)
        raise
    # The first level is an array that holds the value alone.
    return "".join(pieces)[1:-1]


class _Level:
    """An array or object that is being written.

    Attributes:
        members: The members that are left, each with its key or index.
        before: What is written before the next member.
        end: What is written after the last member.
        names: The keys that were written; None: an array.
        step: The key or index of the member that is being written.
    """

    __slots__ = ("before", "end", "members", "names", "step")

    def __init__(self, container: dict[Any, Any] | list[Any]) -> None:
        self.step: Any = None
        self.members: Iterator[tuple[Any, Any]]
        self.names: set[str] | None
        if type(container) is dict:
            self.members, self.before, self.end, self.names = iter(container.items()), "{", "}", set()
        else:
            self.members, self.before, self.end, self.names = iter(enumerate(container)), "[", "]", None


def _write_until_opened(level: _Level, pieces: list[str]) -> _Level | None:
    """Writes members up to the next array or object, and returns that one; None: no member is left."""
    for step, member in level.members:
        level.step = step
        pieces.append(level.before)
        level.before = ","
        if level.names is not None:
            pieces += (_name(step, level.names), ":")
        kind = type(member)
        if kind is dict or kind is list:
            return _Level(member)
        pieces.append(_scalar(member))
    pieces.append(level.end if level.before == "," else level.before + level.end)
    return None


def _name(key: object, names: set[str]) -> str:
    if type(key) is not str:
        raise Refused(f"is a key of type {type(key).__name__}, but JSON keys are strings; convert the key")
    name = _string(key)
    if name in names:
        raise Refused(
            "is a key that JSON cannot tell from another key, because two surrogates are one character; rename the key"
        )
    names.add(name)
    return name


def _scalar(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return _string(value)
    if kind is int:
        return digits_of(value)
    if kind is float:
        if not math.isfinite(value):
            raise Refused("is not a finite number, which JSON cannot hold; use None or a string")
        return repr(value)
    if value is None or kind is bool:
        return json.dumps(value)
    raise Refused(f"is {named(kind)}, which JSON cannot give back; convert it, or use an item_type that does")


def _string(text: str) -> str:
    quoted = _quoted(text)
    if _SURROGATE.search(quoted) is None:
        return quoted
    # JSON reads the escapes of a high and a low surrogate as one character, so that character is written.
    joined = quoted.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", joined)


def read(text: str) -> Any:
    """Returns the value of a JSON text.

    Raises:
        ValueError: The text is no JSON.
        Refused: As verbatim.loads().
    """
    tokens = _Tokens(text)
    # Each open array or object, with the name of the member that is being read.
    opened: list[tuple[Any, str]] = []
    while True:
        value: Any
        if begin := tokens.one_of("[{"):
            value, end = ([], "]") if begin == "[" else ({}, "}")
            if not tokens.one_of(end):
                if len(opened) == MAX_DEPTH:
                    raise Refused(_TOO_DEEP)
                opened.append((value, tokens.name() if begin == "{" else ""))
                continue
        else:
            value = tokens.scalar()
        while opened:
            container, name = opened.pop()
            is_object = type(container) is dict
            if is_object:
                container[name] = value
            else:
                container.append(value)
            if tokens.one_of(","):
                opened.append((container, tokens.name() if is_object else ""))
                break
            tokens.expect("}" if is_object else "]")
            value = container
        else:
            tokens.expect_end()
            return value


class _Tokens:
    """The tokens of a JSON text, one after the other."""

    __slots__ = ("_at", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def one_of(self, signs: str) -> str:
        """Skips space, takes the next character if it is one of these, and returns it; "": none of them follows."""
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._at = space.end()
        sign = self._text[self._at : self._at + 1]
        if sign not in signs:
            return ""
        self._at += len(sign)
        return sign

    def expect(self, sign: str) -> None:
        """Takes this character."""
        if not self.one_of(sign):
            raise ValueError("the text is not valid JSON")

    def expect_end(self) -> None:
        """Makes sure that no other token follows."""
        self.one_of("")
        if self._at < len(self._text):
            raise ValueError("the text is not valid JSON")

    def name(self) -> str:
        """Takes the key of a member, and the colon behind the key."""
        self.expect('"')
        name = self._string()
        self.expect(":")
        return name

    def scalar(self) -> Any:
        """Takes a string, a number, true, false or null."""
        if self.one_of('"'):
            return self._string()
        found = _WORD.match(self._text, self._at)
        if found is None:
            raise ValueError("the text is not valid JSON")
        self._at = found.end()
        whole, rest = found.groups()
        if whole is None:
            return _CONSTANTS[found[0]]
        if not rest:
            return integer_of(whole)
        number = float(found[0])
        if not math.isfinite(number):
            raise Refused("is a number that is too large for a float; store it as a string")
        return number

    def _string(self) -> str:
        """Takes the rest of a string whose quotation mark was taken."""
        text: str
        text, self._at = _unquoted(self._text, self._at - 1)
        return text

"""JSON text of items: a plain ``json.dumps`` of the value that is read equals one of the value that was written."""

from __future__ import annotations

import json
import re
import sys
from decimal import Decimal
from typing import Any, Final

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionstore.codec.jsontext import Refused
from sessionstore.codec.verbatim import MAX_DEPTH, copied, dumps, loads, loads_all
from sessionstore.testing.support.scale import scaled
from tests.codec.spelling import plain

_HOSTILE: Final = st.characters(categories=["Cs", "Cc"]) | st.sampled_from('\u2028\ufffe\U0001f600"\\/é')
_TEXT: Final = st.text(max_size=8) | st.text(_HOSTILE, max_size=8)
_INTEGERS: Final = (
    st.integers()
    | st.integers(-(2**65), 2**65)
    | st.builds(lambda digits, sign: sign * (10**digits - 7), st.integers(15, 700), st.sampled_from([1, -1]))
)
_FLOATS: Final = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([-0.0, 1e16, 1e-320, 1.0, 2.0**63])
_JSON: Final = st.recursive(
    st.none() | st.booleans() | _INTEGERS | _FLOATS | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


def assert_verbatim(value: Any) -> None:
    text = dumps(value).decode()
    assert plain(loads(text)) == plain(value)
    # Also if something on the way took the mark away, or another program wrote the text.
    assert plain(loads(text.strip())) == plain(value)
    assert plain(loads(plain(value))) == plain(value)
    assert plain(copied(dumps(value))) == plain(value)
    # Beside ordinary texts, and beside more texts than are read at once.
    texts = ["[1.0]", text, text.strip(), plain(value), *['{"b":[]}'] * 20, text]
    assert plain(loads_all(texts)) == plain([[1.0], value, value, value, *[{"b": []}] * 20, value])
    assert re.search("[\0-\x1f]", text) is None


@settings(max_examples=scaled(1000), deadline=None)
@given(_JSON)
def test_any_json_value_comes_back_verbatim(value: Any) -> None:
    try:
        plain_value = json.loads(plain(value))
        text = dumps(value)
    except Refused as refused:
        assert "cannot tell from another key" in refused.reason  # noqa: PT017
        return
    assert plain(plain_value) == plain(value)
    assert_verbatim(value)
    assert text.strip() == dumps(loads(text.decode())).strip()


VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "empty text": "",
    "empty key": {"": {"": []}},
    "order of keys": {"b": 1, "a": {"z": 1, "aa": 2, "a": 3}, "": 0},
    "NUL": {"a\0": ["\0", "x\0y"]},
    "control characters": "".join(map(chr, range(32))) + "\x7f\x80\u2028\ufeff",
    "high surrogate": ["\ud83d", {"\ud83d": "a\ud83d"}],
    "low surrogate": ["\ude00 b", {"\ude00": 1}],
    "surrogates in the wrong order": "\ude00\ud83d",
    "surrogates beside a character": "\ud83d\U0001f600\ude00",
    "what looks like an escape": ["\\ud83d", "\\u0000", '\\"'],
    "a backslash before a surrogate": "\\\ud83d\\\\\ud83d",
    "largest of orjson": [2**64 - 1, -(2**63)],
    "beyond 64 bits": [2**64, -(2**63) - 1, {"a": 10**30}],
    "400 digits": [10**399 + 7, {"n": -(10**399)}],
    "integer and float": [1, 1.0, True, 0, 0.0, -0.0],
    "floats": [1e16, -1e16, 1e-320, 5e-324, 1.7976931348623157e308, 0.1, 123456789012345680.0, 1e22, 2.0**64],
    "digits in texts": ["12345678901234567890123", {"98765432109876543210": "1" * 400}],
    "rare and ordinary": {"text": "é" * 10, "n": 2**64, "more": [None, True, {"a": "\U0001f600"}]},
    "numbers as keys": {"1": 1, "01": 2, "-0": 3},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_each_hard_value_comes_back_verbatim(value: Any) -> None:
    assert_verbatim(value)
    assert_verbatim([{"k": [value]}])


ORDINARY: Final = (
    "null",
    "NUL",
    "order of keys",
    "control characters",
    "largest of orjson",
    "floats",
    "digits in texts",
)


@pytest.mark.parametrize("name", ORDINARY)
def test_a_value_that_orjson_can_write_is_written_as_orjson_writes_it(name: str) -> None:
    assert dumps(VALUES[name]) == orjson.dumps(VALUES[name])


@pytest.mark.parametrize("name", ["high surrogate", "beyond 64 bits", "400 digits", "rare and ordinary"])
def test_a_value_that_orjson_cannot_write_begins_with_the_only_space(name: str) -> None:
    text = dumps(VALUES[name]).decode()
    assert text.startswith(" ")
    assert " " not in text[1:].replace("a b", "").replace("\ude00 b", "").replace(r"\ude00 b", "")
    assert json.loads(text) == VALUES[name]


@pytest.mark.parametrize("digits", [600, 601, 4300, 4301, 5000, 30_000])
@pytest.mark.parametrize("limit", [640, 4300, 0])
def test_an_integer_of_any_length_comes_back_whatever_the_limit_of_the_process(digits: int, limit: int) -> None:
    before = sys.get_int_max_str_digits()
    assert dumps(7**digits).decode().strip() == str(Decimal(7**digits))
    sys.set_int_max_str_digits(limit)
    try:
        for number in (10**digits - 1, -(10 ** (digits - 1)), 7**digits):
            text = dumps({"n": [number]}).decode()
            assert loads(text) == {"n": [number]}
            assert loads(text.strip()) == {"n": [number]}
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize("opened", ["[", '{"a":', '[{"":'])
@pytest.mark.parametrize("core", ["1", '"\\ud800"', str(2**64)])
@pytest.mark.parametrize("depth", [249, 250, 254, 255, 256, 500, MAX_DEPTH])
def test_a_deeply_nested_value_comes_back(opened: str, core: str, depth: int) -> None:
    value = nested(opened, core, depth)
    text = dumps(value).decode()
    assert text.strip() == spelled(opened, core, depth)
    assert dumps(loads(text)).decode() == text
    assert dumps(loads(text.strip())).decode() == text


@pytest.mark.parametrize("opened", ["[", '{"a":'])
@pytest.mark.parametrize("core", ["1", '"\\ud800"'])
def test_one_level_more_than_allowed_is_refused(opened: str, core: str) -> None:
    with pytest.raises(Refused, match=f"more than {MAX_DEPTH} levels deep") as refused:
        dumps([nested(opened, core, MAX_DEPTH)])
    assert refused.value.path.startswith("$[0]" + ("[0]" if opened == "[" else ".a"))
    with pytest.raises(Refused, match=f"more than {MAX_DEPTH} levels deep"):
        loads(" [" + spelled(opened, core, MAX_DEPTH) + "]")


def test_neither_writing_nor_reading_needs_more_stack_for_deeper_values() -> None:
    value = nested("[", '"\\ud800"', MAX_DEPTH)
    text = dumps(value).decode()
    plain_text = spelled("[", "1", MAX_DEPTH)

    def deep(frames: int) -> None:
        if frames:
            deep(frames - 1)
            return
        assert dumps(value).decode() == text
        assert dumps(loads(text)).decode() == text
        assert dumps(loads(plain_text)).decode().strip() == plain_text

    deep(sys.getrecursionlimit() - depth_of_stack() - 60)


def depth_of_stack() -> int:
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


def spelled(opened: str, core: str, depth: int) -> str:
    closed = "".join("]" if sign == "[" else "}" for sign in reversed(opened) if sign in "[{")
    whole, rest = divmod(depth, len(closed))
    return opened * whole + "[" * rest + core + "]" * rest + closed * whole


def nested(opened: str, core: str, depth: int) -> Any:
    value = json.loads(core)
    closed = [sign for sign in opened if sign in "[{"]
    whole, rest = divmod(depth, len(closed))
    key = "a" if "a" in opened else ""
    for sign in [*closed * whole, *"[" * rest][::-1]:
        value = [value] if sign == "[" else {key: value}
    return value

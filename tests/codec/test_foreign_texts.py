"""JSON texts that other programs wrote: each is read as JSON says, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionstore.codec.jsontext import Refused
from sessionstore.codec.verbatim import loads, loads_all
from sessionstore.testing.support.scale import scaled
from tests.codec.spelling import plain


@pytest.mark.parametrize("texts", [("[1", "2]"), ("[1", "2],[3"), ("1,2",), ("",), ("1", "", "2")])
def test_texts_that_are_json_only_together_are_no_json(texts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="JSON"):
        loads_all([*["null"] * 15, *texts])


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "1" * 400])
def test_a_long_integer_that_another_program_wrote_is_found_beside_ordinary_texts(number: str) -> None:
    ordinary = ['{"text":"hello"}', "1.5", " [1]"]
    for at in range(len(ordinary) + 1):
        texts = [*ordinary[:at], f'{{"n":[{number}]}}', *ordinary[at:]]
        assert loads_all(texts)[at] == {"n": [int(number)]}


# What other programs may write.
FOREIGN: dict[str, Any] = {
    ' { "a" : [ 1 , 2 ] , "b" : { } } ': {"a": [1, 2], "b": {}},
    '{"n": 18446744073709551616}': {"n": 2**64},
    '[-9223372036854775809,"é"]': [-(2**63) - 1, "é"],
    '{"n":123456789012345678901234567890}': {"n": 123456789012345678901234567890},
    "[100000000000000000000000]": [10**23],
    "[0.10000000000000000000000001]": [0.1],
    "[18446744073709551616.0]": [2.0**64],
    "[1E3,1e-3,-0,-0.0,1.50]": [1000.0, 0.001, 0, -0.0, 1.5],
    '"\\ud83d\\ude00"': "\U0001f600",
    '"\\ud83d"': "\ud83d",
    '["\\u0041\\/\\n"]': ["A/\n"],
    '{"a":1,"a":18446744073709551616}': {"a": 2**64},
    "\t\r\n null\n": None,
    " true": True,
    "[ ]": [],
    " [ ]": [],
    " { }": {},
}


@pytest.mark.parametrize("text", FOREIGN)
def test_a_text_of_another_program_is_read_as_json_says(text: str) -> None:
    assert plain(loads(text)) == plain(FOREIGN[text])
    assert plain(loads(f" {text}")) == plain(FOREIGN[text])


NO_JSON: Final = [
    *("", " ", "nul", "tru", "NaN", "Infinity", "-Infinity", "-", "+1", "01", "1.", ".5", "1e", "0x1", "--1", "1 2"),
    *(
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1]]",
        "[}",
        "{",
        "}",
        "{]",
        "{a:1}",
        "{1:1}",
        '{"a"}',
        '{"a":}',
    ),
    *('{"a":1,}', '{"a":1', '{"a" 1}', '{"a":1 "b":2}', '{,"a":1}', '"', '"a', '"\\x"', '"\\u12"', '"\\u12g4"', '"\n"'),
    *('"\0"', "'a'", "\ufeff1", "\xa01", "[1]\x00", "// c\n1", "\u0661", "1_0", "[18446744073709551616", '["\\ud800"'),
]


@pytest.mark.parametrize("text", NO_JSON, ids=ascii)
def test_a_text_that_is_no_json_is_no_value(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)
    with pytest.raises(ValueError, match=r"."):
        loads(f" {text}")


@pytest.mark.parametrize("text", ["1e400", "[-1e309]", '{"a":[1.5E+999]}'])
def test_a_number_beyond_a_float_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="too large for a float"):
        loads(text)
    with pytest.raises(Refused, match="too large for a float"):
        loads(f" {text}")


@settings(max_examples=scaled(500), deadline=None)
@given(st.text(st.sampled_from('[]{}",:0123456789.eE+- \\u\ntrfalsn'), max_size=14))
def test_the_reader_of_rare_texts_accepts_and_refuses_the_same_as_the_standard_library(text: str) -> None:
    outcomes = [outcome_of(strict, text), outcome_of(loads, f" {text}")]
    assert outcomes[0] == outcomes[1] or "Infinity" in outcomes[0]


def outcome_of(read: Callable[[str], Any], text: str) -> str:
    try:
        return plain(read(text))
    except (ValueError, Refused):
        return "refused"


def strict(text: str) -> Any:
    return json.loads(text, parse_constant=refuse_constant)


def refuse_constant(name: str) -> None:
    raise ValueError(name)

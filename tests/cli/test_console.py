from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from sessionstore.cli.console import print_facts, print_json, print_pretty, print_table, printable, progress

ESCAPE, BELL, C1, RIGHT_TO_LEFT = "\x1b", "\x07", "\x9b", "\u202e"

TEXTS = st.text(st.characters(codec=None))
VALUES = st.recursive(st.none() | st.booleans() | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner))


@given(TEXTS)
def test_printed_text_holds_no_control_characters(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(text) == text or not text.isprintable()


@given(VALUES)
def test_json_that_was_made_printable_is_the_same_json(value: JsonValue) -> None:
    assert json.loads(printable(json.dumps(value, ensure_ascii=False))) == value


def test_control_characters_and_bidirectional_overrides_are_escaped() -> None:
    assert printable(f"a{ESCAPE}[31m{RIGHT_TO_LEFT}\n") == r"a\u001b[31m\u202e\u000a"
    assert printable("\U000e0001") == r"\udb40\udc01"
    assert printable("Grüezi, 世界") == "Grüezi, 世界"


@pytest.mark.parametrize("text", [ESCAPE, BELL, C1, "\x7f", "\r", "\n", RIGHT_TO_LEFT])
def test_no_way_of_printing_lets_a_control_character_through(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = f"a{text}b"
    print_json({text: text})
    print_pretty({text: [text]})
    print_table([text], [[text]])
    print_facts([("name", text)])
    printed = capsys.readouterr().out
    assert printed.count("a\\") == 7
    assert printable(printed, keep="\n") == printed


@pytest.mark.parametrize("text", ["[red]x[/red]", "[link=http://a]x", ":smile:", "[/]", r"\[x"])
def test_no_text_is_taken_for_markup(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_pretty(text)
    print_table([text], [[text]])
    print_facts([("name", text)])
    assert capsys.readouterr().out.count(text) == 4


def test_a_line_in_a_pipe_is_never_broken(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 255
    print_table(["id", "other"], [[long, long]])
    print_pretty(["y " * 300])
    printed = capsys.readouterr().out
    assert any(line.split() == [long, long] for line in printed.splitlines())
    assert f'"{"y " * 300}"' in printed


def test_numbers_are_printed_with_separators(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts([("rows", 1234567), ("name", "1234567")])
    assert capsys.readouterr().out == "rows   1,234,567\nname   1234567\n"


def test_no_progress_bar_is_printed_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reaping", 3, "rows") as advance:
        advance(5)
    assert capsys.readouterr() == ("", "")

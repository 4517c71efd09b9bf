from __future__ import annotations

from datetime import timedelta

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.cli.durations import parse_duration, shown_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("0.5", 0.5),
        ("90s", 90),
        ("1.5s", 1.5),
        ("15m", 900),
        ("12h", 43_200),
        ("7d", 604_800),
        ("1h30m", 5400),
        ("1d2h3m4s", 93_784),
        ("90m", 5400),
    ],
)
def test_a_duration_is_read_as_it_is_typed(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", "s", "7x", "-1", "-1h", "1h30", "30m1h", "1.5h", "1 h", "1e9", "nan", "inf", "٣s", "9" * 20 + "d", "9" * 400],
)
def test_a_text_that_is_no_duration_is_a_bad_parameter(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"90s|that is too long"):
        parse_duration(text)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=365_000)))
def test_a_printed_duration_can_be_read_again(duration: timedelta) -> None:
    assert parse_duration(shown_duration(duration)) == duration


def test_a_duration_is_shown_short() -> None:
    shown = {timedelta(0): "0s", timedelta(minutes=30): "30m", timedelta(days=1, seconds=1): "1d1s"}
    assert [shown_duration(duration) for duration in shown] == list(shown.values())
    assert shown_duration(timedelta(seconds=90, milliseconds=500)) == "1m30.5s"

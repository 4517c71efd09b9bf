"""Session ids that are made of a framework's names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sessionstore.ids import fault_of
from sessionstore.integrations.keys import joined, parts_of, prefix_of, whole

_TEXT = st.text(st.characters(), max_size=6) | st.sampled_from(
    ["/", "%", "%2F", "~", "", "a" * 300, "é" * 90, "\ud800"]
)
_PARTS = st.lists(_TEXT, min_size=1, max_size=3)


def test_plain_names_stay_as_they_are() -> None:
    assert joined("support", "user-1", "3f2a") == "support/user-1/3f2a"
    assert joined("a conversation of Zoë 🙂") == "a conversation of Zoë 🙂"


@given(_PARTS)
def test_any_names_make_a_valid_session_id(parts: list[str]) -> None:
    assert fault_of(joined(*parts)) is None


@given(_PARTS, _PARTS)
def test_different_names_make_different_ids(one: list[str], other: list[str]) -> None:
    assert (joined(*one) == joined(*other)) == (one == other)


@given(st.lists(_TEXT, min_size=1, max_size=2), _PARTS)
def test_a_prefix_finds_the_ids_below_it_and_no_others(above: list[str], parts: list[str]) -> None:
    below = len(parts) == len(above) + 1 and parts[: len(above)] == above
    if len(parts) == len(above) + 1:
        assert joined(*parts).startswith(prefix_of(*above)) == below


def test_long_names_that_differ_at_their_end_make_different_ids() -> None:
    assert joined("a" * 500 + "1") != joined("a" * 500 + "2")
    assert len(joined("a" * 500, "b" * 500, "c" * 500)) <= 255


@given(_PARTS)
def test_parts_are_read_from_the_whole_name(parts: list[str]) -> None:
    assert parts_of(whole(*parts)) == parts


@given(_PARTS)
def test_an_id_is_the_whole_name_unless_a_part_was_cut(parts: list[str]) -> None:
    assert (joined(*parts) == whole(*parts)) == (max(len(whole(part)) for part in parts) <= 84)

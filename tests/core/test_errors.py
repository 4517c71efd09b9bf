from __future__ import annotations

from collections.abc import Iterable

import pytest

import sessionstore
from sessionstore import (
    ConfigurationError,
    CorruptStateError,
    InvalidSessionIdError,
    InvalidStateError,
    ItemNotFoundError,
    SchemaError,
    SessionConflictError,
    SessionNotFoundError,
    SessionOwnerError,
    SessionStoreError,
    StateTooLargeError,
    StorageError,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
)
from sessionstore.errors import SessionHeldError
from tests.core.quoting import about

TREE: dict[type[Exception], tuple[type[Exception], ...]] = {
    ConfigurationError: (SessionStoreError, ValueError),
    SessionNotFoundError: (SessionStoreError, LookupError),
    ItemNotFoundError: (SessionNotFoundError,),
    SessionConflictError: (SessionStoreError,),
    SessionOwnerError: (SessionStoreError,),
    InvalidSessionIdError: (SessionStoreError, ValueError),
    InvalidStateError: (SessionStoreError, ValueError),
    StateTooLargeError: (InvalidStateError,),
    CorruptStateError: (InvalidStateError,),
    StorageError: (SessionStoreError,),
    StorageUnavailableError: (StorageError,),
    SessionHeldError: (StorageUnavailableError,),
    UpdateOutcomeUnknownError: (StorageError,),
    SchemaError: (SessionStoreError,),
}


def test_the_tree_of_errors_is_the_one_promised() -> None:
    def below(error: type[Exception]) -> Iterable[type[Exception]]:
        for child in error.__subclasses__():
            yield child
            yield from below(child)

    ours = {error for error in below(SessionStoreError) if error.__module__.partition(".")[0] == "sessionstore"}
    assert {error: error.__bases__ for error in ours} == TREE
    assert SessionStoreError.__bases__ == (Exception,)
    assert {error.__name__ for error in ours - {SessionHeldError}} <= set(sessionstore.__all__)


def test_errors_have_the_documented_attributes() -> None:
    conflict = SessionConflictError("s", expected=1, actual=2)
    assert (conflict.session_id, conflict.expected, conflict.actual) == ("s", 1, 2)
    assert conflict.of == "version"
    conflict = SessionConflictError("s", expected=3, actual=7, of="position")
    assert (conflict.expected, conflict.actual, conflict.of) == (3, 7, "position")
    assert "position" in str(conflict)
    assert "7" in str(conflict)
    assert SessionNotFoundError("s").session_id == "s"
    missing = ItemNotFoundError(item_id="msg-1")
    assert (missing.session_id, missing.item_id, missing.position) == ("", "msg-1", None)
    missing = ItemNotFoundError("s", position=3)
    assert (missing.session_id, missing.item_id, missing.position) == ("s", None, 3)
    assert InvalidSessionIdError("", "must not be empty").session_id == ""
    too_large = StateTooLargeError(size=11, limit=10, session_id="s")
    assert (too_large.size, too_large.limit, too_large.path, too_large.session_id) == (11, 10, "$", "s")
    corrupt = CorruptStateError("is no JSON text", path="$.a")
    assert (corrupt.path, corrupt.session_id) == ("$.a", None)
    schema = SchemaError("run `sessionstore migrate upgrade`", found=None, wanted="0001")
    assert (str(schema), schema.found, schema.wanted) == ("run `sessionstore migrate upgrade`", None, "0001")
    assert (StorageError("failed").code, str(StorageError("failed"))) == (None, "failed")
    assert (StorageError("failed", code="40001").code, str(StorageError("failed", code="40001"))) == (
        "40001",
        "failed [40001]",
    )


HOSTILE_IDS = ["a\nb", "\x1b[31m", "\u202eabc", "\ud800", "\U0001f600", "o'clock\"", "\\"]


@pytest.mark.parametrize("session_id", HOSTILE_IDS, ids=ascii)
def test_a_hostile_id_is_shown_escaped(session_id: str) -> None:
    for error in about(session_id):
        assert ascii(session_id) in str(error)
        assert str(error).isascii()
        assert str(error).isprintable()


@pytest.mark.parametrize("session_id", ["x" * 81, "\U0001f600" * 255, "\n" * 1_000_000], ids=["x", "smiley", "newline"])
def test_a_long_id_is_shown_shortened_with_its_length(session_id: str) -> None:
    for error in about(session_id):
        assert f"... ({len(session_id)} characters)" in str(error)
        assert len(str(error)) < 1200
        assert str(error).isascii()


def test_an_id_of_80_characters_is_shown_whole() -> None:
    assert all("x" * 80 in str(error) for error in about("x" * 80))


@pytest.mark.parametrize("bad", [5, b"s3cret", ["s3cret"], None], ids=lambda bad: type(bad).__name__)
def test_an_id_that_is_no_string_is_shown_by_its_type(bad: object) -> None:
    error = InvalidSessionIdError(bad, "must be a string")
    assert str(error) == f"session id <{type(bad).__name__}> must be a string"

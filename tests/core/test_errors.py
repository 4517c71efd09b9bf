from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel, field_serializer, field_validator

import sessionstore
from sessionstore import (
    ConfigurationError,
    CorruptStateError,
    InvalidSessionIdError,
    InvalidStateError,
    ItemNotFoundError,
    SchemaError,
    SessionConflictError,
    SessionManager,
    SessionNotFoundError,
    SessionOwnerError,
    SessionStoreError,
    StateTooLargeError,
    StorageError,
    StorageProvider,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
)
from sessionstore.concurrency.call import copy_of
from sessionstore.errors import SessionHeldError
from sessionstore.testing.support.documents import draft

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


def about(session_id: str) -> list[SessionStoreError]:
    """Every error that quotes a session's id."""
    return [
        SessionNotFoundError(session_id),
        SessionConflictError(session_id, expected=1, actual=2),
        SessionConflictError(session_id, expected=1, actual=2, of="position"),
        SessionConflictError(session_id, expected=0, actual=2, of="absence"),
        SessionConflictError(session_id, expected=0, actual=2, of="ids"),
        ItemNotFoundError(session_id, position=1),
        ItemNotFoundError(item_id=session_id),
        SessionOwnerError(session_id),
        InvalidSessionIdError(session_id, "must not be"),
        InvalidStateError("is bad", session_id=session_id),
        StateTooLargeError(size=2, limit=1, session_id=session_id),
        CorruptStateError("is bad", session_id=session_id),
    ]


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


class Refund(SessionConflictError):
    """An error of a service, with parameters and fields of its own."""

    def __new__(cls, amount: int, **_: object) -> Refund:
        return super().__new__(cls, amount)

    def __init__(self, amount: int, *, reason: str) -> None:
        super().__init__("s", expected=1, actual=2)
        self.amount = amount
        self.reason = reason


class Slotted(StorageError):
    __slots__ = ("shard",)

    def __init__(self, shard: int) -> None:
        super().__init__(f"shard {shard} is away", code="08006")
        self.shard = shard


class Unreachable(StorageError, ConnectionError):
    """An error of a service that is an OSError too."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} is away")
        self.host = host


EVERY_ERROR: list[SessionStoreError] = [
    *about("s"),
    *about("x" * 81),
    SessionStoreError("a", 1),
    SessionStoreError(),
    ConfigurationError("ttl must be positive"),
    InvalidSessionIdError(lambda: None, "must be a string"),
    InvalidSessionIdError(type("Folded", (str,), {})("a\n"), "must hold no control characters"),
    InvalidStateError("is bad", path="$.a"),
    StorageError("failed", code="40001"),
    StorageUnavailableError("away", code="08006"),
    SessionHeldError("held"),
    UpdateOutcomeUnknownError("unknown"),
    SchemaError("old", found="0001", wanted="0002"),
    Refund(5, reason="late"),
    Slotted(3),
    Unreachable("db1"),
]


def fields(error: SessionStoreError) -> dict[str, object]:
    return {**vars(error), **{name: getattr(error, name) for name in getattr(error, "__slots__", ())}}


COPIED: dict[str, Callable[[SessionStoreError], Any]] = {
    **{
        f"pickle {protocol}": partial(lambda protocol, it: pickle.loads(pickle.dumps(it, protocol)), protocol)  # noqa: S301
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "copy_of": copy_of,
}


@pytest.mark.parametrize("copied", COPIED.values(), ids=list(COPIED))
@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickle_and_copy(
    error: SessionStoreError, copied: Callable[[SessionStoreError], SessionStoreError]
) -> None:
    error.add_note("while closing the day")
    other = copied(error)
    assert type(other) is type(error)
    assert other is not error
    assert (str(other), other.args, repr(other)) == (str(error), error.args, repr(error))
    assert fields(other) == fields(error)
    again = copied(other)
    assert (str(again), fields(again)) == (str(error), fields(error))


def test_a_copy_of_an_error_keeps_its_cause() -> None:
    error = StorageError("failed")
    error.__cause__ = OSError("broken")
    other = copy_of(error)
    assert (other.__cause__, other.__suppress_context__) == (error.__cause__, True)


SECRET = "s3cret"


class Tainted:
    """An object whose str() and repr() show the secret."""

    def __repr__(self) -> str:
        return SECRET


class Typed(BaseModel):
    n: int = 0
    body: Any = None
    checked: str = ""
    dumped: str = ""

    @field_validator("checked")
    @classmethod
    def _check(cls, value: str) -> str:
        if value:
            raise ValueError(f"cannot be {value}")
        return value

    @field_serializer("dumped")
    def _dump(self, value: str) -> str:
        if value:
            raise KeyError(value)
        return value


@dataclass
class Plain:
    body: Any = None


BAD: dict[str, tuple[Any, Any]] = {
    "NaN beside": ({"a": SECRET, "b": float("nan")}, None),
    "NUL": ({"a": f"{SECRET}\0"}, None),
    "surrogate": ({"a": f"{SECRET}\ud800"}, None),
    "bytes": ({"a": SECRET.encode()}, None),
    "object": ({"a": Tainted()}, None),
    "error": ({"a": ValueError(SECRET)}, None),
    "too large": ({"a": SECRET * 100}, None),
    "no object": (Tainted(), None),
    "typed NUL": (Typed(body=f"{SECRET}\0"), Typed),
    "typed NaN beside": (Typed(body=[SECRET, float("nan")]), Typed),
    "typed object": (Typed(body=[Tainted()]), Typed),
    "typed bytes": (Typed(body=SECRET.encode() + b"\xff"), Typed),
    "typed too large": (Typed(body=SECRET * 100), Typed),
    "field of another type": (Typed.model_construct(n=SECRET), Typed),
    "field against its validator": (Typed.model_construct(checked=SECRET), Typed),
    "field whose serializer fails": (Typed(dumped=SECRET), Typed),
    "another type": (SECRET, Typed),
    "dataclass with an object": (Plain(Tainted()), Plain),
}
CORRUPT: dict[str, tuple[str, Any]] = {
    "no JSON": (f'{{"a":"{SECRET}', None),
    "no JSON, typed": (f'{{"a":"{SECRET}', Typed),
    "another type": (f'{{"n":"{SECRET}"}}', Typed),
    "against its validator": (f'{{"checked":"{SECRET}"}}', Typed),
    "no object": (f'"{SECRET}"', Typed),
}


def assert_discreet(error: SessionStoreError | None) -> None:
    assert isinstance(error, InvalidStateError)
    assert "'s'" in str(error)
    assert SECRET not in str(error) + repr(error) + repr(vars(error))
    assert SECRET not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize(("state", "state_type"), list(BAD.values()), ids=list(BAD))
async def test_the_refusal_of_a_state_names_the_session_and_never_quotes_the_state(
    storage: StorageProvider, state: Any, state_type: Any
) -> None:
    manager = SessionManager(lambda _: state, storage, state_type=state_type, max_state_bytes=200)
    assert_discreet((await manager.create_session("s")).error)
    blank: Any = state_type() if state_type else {}
    await SessionManager(lambda _: blank, storage, state_type=state_type).create_session("s")
    assert_discreet((await manager.update_session("s", lambda _: state)).error)


@pytest.mark.parametrize(("stored", "state_type"), list(CORRUPT.values()), ids=list(CORRUPT))
async def test_the_error_of_a_corrupt_state_names_the_session_and_never_quotes_the_state(
    storage: StorageProvider, stored: str, state_type: Any
) -> None:
    await storage.create(draft(state=stored))
    manager: SessionManager[Any] = SessionManager(lambda _: {}, storage, "chat", state_type=state_type)
    for failed in (await manager.get_session("s"), await manager.update_session("s", lambda state: state)):
        assert isinstance(failed.error, CorruptStateError)
        assert_discreet(failed.error)
        assert "`sessionstore show`" in str(failed.error)

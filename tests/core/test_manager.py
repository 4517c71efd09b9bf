from __future__ import annotations

import functools
import gc
import warnings
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter

from sessionstore import (
    ConfigurationError,
    CorruptStateError,
    InvalidSessionIdError,
    InvalidStateError,
    SessionConflictError,
    SessionManager,
    SessionNotFoundError,
    SessionResult,
    StorageError,
    StorageProvider,
)
from sessionstore.testing.support.documents import Chat, new_chat
from sessionstore.updates.rounds import OPTIMISTIC_ROUNDS

from ..support.contended import ContendedStorage


@pytest.mark.parametrize("size", [0, -1])
def test_a_limit_under_which_no_state_fits_is_refused(size: int) -> None:
    with pytest.raises(ConfigurationError, match=f"max_state_bytes must be positive, not {size}"):
        SessionManager(new_chat, max_state_bytes=size)


def test_a_limit_beyond_what_jsonb_holds_is_refused() -> None:
    SessionManager(new_chat, max_state_bytes=268_435_455)
    with pytest.raises(ConfigurationError, match="max_state_bytes must be at most 268,435,455"):
        SessionManager(new_chat, max_state_bytes=268_435_456)


@pytest.mark.parametrize("bad", ["", "x" * 256, "a\n", "\ud800", 5, None], ids=ascii)
def test_an_invalid_namespace_is_refused_with_the_reason(bad: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^namespace .* must ") as raised:
        SessionManager(new_chat, None, bad)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 250


@pytest.mark.parametrize("bad", [5, 0.5, timedelta(0)], ids=repr)
async def test_an_invalid_timeout_is_refused_by_every_call(bad: Any) -> None:
    chats: SessionManager[Chat] = SessionManager(new_chat)
    for call in (
        chats.create_session("s", timeout=bad),
        chats.get_session("s", timeout=bad),
        chats.update_session("s", lambda _: None, timeout=bad),
        chats.delete_session("s", timeout=bad),
    ):
        with pytest.raises(ConfigurationError, match=r"^timeout must be "):
            await call
    assert not (await chats.get_session("s")).success


async def test_managers_without_a_storage_share_no_sessions() -> None:
    one, other = SessionManager(new_chat), SessionManager(new_chat)
    await one.create_session("s")
    assert (await one.get_session("s")).unwrap() == new_chat("s")
    assert isinstance((await other.get_session("s")).error, SessionNotFoundError)


async def test_a_state_may_be_of_any_type_that_a_type_adapter_describes(storage: StorageProvider) -> None:
    scores = TypeAdapter[list[int]](Annotated[list[int], Field(max_length=2)])
    games = SessionManager(lambda _: [1], storage, "games", state_type=scores)
    assert (await games.create_session("s")).unwrap() == [1]
    assert (await games.update_session("s", lambda state: [*state, 2])).unwrap() == [1, 2]
    refused = await games.update_session("s", lambda state: [*state, 3])
    assert isinstance(refused.error, InvalidStateError)
    assert (await games.get_session("s")).unwrap() == [1, 2]


async def test_a_null_state_is_refused(chats: SessionManager[Chat], storage: StorageProvider) -> None:
    nothing: SessionManager[Any] = SessionManager(lambda _: None, storage, "chat")
    refused = await nothing.create_session("s")
    assert isinstance(refused.error, InvalidStateError)
    assert refused.error.path == "$"
    assert isinstance((await chats.get_session("s")).error, SessionNotFoundError)


def test_unwrap_returns_the_data_or_raises_the_error() -> None:
    error = SessionNotFoundError("s")
    assert SessionResult[bool]("s", success=True, data=False).unwrap() is False
    with pytest.raises(SessionNotFoundError) as raised:
        SessionResult("s", success=False, error=error).unwrap()
    assert raised.value is error


async def test_a_result_and_its_metadata_are_immutable(chats: SessionManager[Chat]) -> None:
    created = await chats.create_session("s")
    with pytest.raises(FrozenInstanceError):
        created.version = 1  # type: ignore[misc]
    assert created.metadata is not None
    with pytest.raises(FrozenInstanceError):
        created.metadata.owner_id = "another"  # type: ignore[misc]


async def _change(state: Chat) -> None:
    state["n"] = 99


class _Changer:
    async def __call__(self, state: Chat) -> None:
        state["n"] = 99


COROUTINES: dict[str, Any] = {
    "function": _change,
    "partial": functools.partial(_change),
    "method": _Changer().__call__,
    "object": _Changer(),
}


@pytest.mark.parametrize("update_fn", list(COROUTINES.values()), ids=list(COROUTINES))
async def test_a_coroutine_function_is_refused_and_nothing_is_written(
    chats: SessionManager[Chat], update_fn: Any
) -> None:
    created = await chats.create_session("s")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(TypeError, match="plain function"):
            await chats.update_session("s", update_fn)
        gc.collect()
    assert [str(warning.message) for warning in warned] == []
    read = await chats.get_session("s")
    assert (read.data, read.version) == (created.data, created.version)


ERRORS: dict[str, Callable[[], Exception]] = {
    "SessionNotFoundError": lambda: SessionNotFoundError("other"),
    "InvalidStateError": lambda: InvalidStateError("mine"),
    "InvalidSessionIdError": lambda: InvalidSessionIdError("other", "mine"),
    "CorruptStateError": lambda: CorruptStateError("mine"),
    "SessionConflictError": lambda: SessionConflictError("other", expected=1, actual=2),
    "StorageError": lambda: StorageError("mine"),
    "KeyError": lambda: KeyError("mine"),
}


@pytest.mark.parametrize("losses", [0, OPTIMISTIC_ROUNDS], ids=["at first", "under the lock"])
@pytest.mark.parametrize("make", list(ERRORS.values()), ids=list(ERRORS))
async def test_an_exception_of_the_update_function_reaches_the_caller_unchanged(
    make: Callable[[], Exception], losses: int
) -> None:
    chats = SessionManager(new_chat, ContendedStorage(losses, held=True))
    created = await chats.create_session("s")
    error, cause = make(), OSError("why")
    rounds = 0

    def raise_in_the_last_round(state: Chat) -> None:
        nonlocal rounds
        rounds += 1
        state["n"] = 99
        if rounds > bool(losses):  # what could not be written is not made anew until it is locked
            raise error from cause

    with pytest.raises(type(error)) as raised:
        await chats.update_session("s", raise_in_the_last_round)
    assert raised.value is error
    assert (error.__cause__, error.__context__) == (cause, None)
    read = await chats.get_session("s")
    assert (read.data, read.version) == (created.data, created.version)


async def test_an_error_of_another_session_that_the_update_function_raises_is_not_put_into_the_result(
    chats: SessionManager[Chat],
) -> None:
    await chats.create_session("s")
    missing = await chats.get_session("nobody")
    with pytest.raises(SessionNotFoundError, match="nobody") as raised:
        await chats.update_session("s", lambda _: missing.unwrap())
    assert raised.value is missing.error


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no owner": ({"owner_id": ""}, "owner_id"),
    "owner with NUL": ({"owner_id": "s3cret\0"}, "owner_id"),
    "owner too long": ({"owner_id": "s3cret" * 50}, "owner_id"),
    "owner no string": ({"owner_id": 5}, "owner_id"),
    "origin no mapping": ({"origin": "s3cret"}, "origin"),
    "origin a list of pairs": ({"origin": [("a", "s3cret")]}, "origin"),
    "origin with NaN": ({"origin": {"a": [1, float("nan")]}}, "origin.a[1]"),
    "origin with NUL": ({"origin": {"a b": "s3cret\0"}}, 'origin["a b"]'),
    "origin with an int key": ({"origin": {"a": {1: "s3cret"}}}, "origin.a[1]"),
}


@pytest.mark.parametrize(("facts", "path"), list(REFUSED.values()), ids=list(REFUSED))
async def test_an_owner_or_origin_that_cannot_be_stored_is_refused_with_its_path(
    chats: SessionManager[Chat], facts: dict[str, Any], path: str
) -> None:
    refused = await chats.create_session("s", **facts)
    assert isinstance(refused.error, InvalidStateError)
    assert (refused.error.path, refused.error.session_id) == (path, "s")
    assert f"'s' cannot be stored: {path} " in str(refused.error)
    assert "s3cret" not in str(refused.error)
    assert isinstance((await chats.get_session("s")).error, SessionNotFoundError)


@pytest.mark.parametrize(
    "error",
    [KeyError("mine"), SessionNotFoundError("other"), InvalidStateError("mine")],
    ids=lambda e: type(e).__name__,
)
async def test_an_exception_of_default_state_reaches_the_caller_and_nothing_is_created(
    storage: StorageProvider, error: Exception
) -> None:
    def refuse(session_id: str) -> Chat:
        raise error

    with pytest.raises(type(error)) as raised:
        await SessionManager(refuse, storage).create_session("s")
    assert raised.value is error
    assert await storage.stats() == []


async def test_a_default_state_that_cannot_be_read_back_is_refused_and_nothing_is_created(
    storage: StorageProvider,
) -> None:
    positive = TypeAdapter[int](Annotated[int, Field(gt=0)])
    refused = await SessionManager(lambda _: -5, storage, state_type=positive).create_session("s")
    assert isinstance(refused.error, InvalidStateError)
    assert not isinstance(refused.error, CorruptStateError)
    assert await storage.stats() == []


@pytest.mark.parametrize("keys", [0, 5000, 64.0, "64", True])
def test_an_invalid_number_of_idempotency_keys_is_refused(keys: Any) -> None:
    with pytest.raises(ConfigurationError, match="idempotency_keys"):
        SessionManager(new_chat, idempotency_keys=keys)


@pytest.mark.parametrize("choice", ["", "REPLACE", None, True, "ignore", b"replace", ["replace"]], ids=repr)
def test_an_unknown_choice_is_refused_and_the_two_choices_are_named(choice: Any) -> None:
    with pytest.raises(ConfigurationError, match='"refuse" or "replace"'):
        SessionManager(new_chat, unstorable_text=choice)

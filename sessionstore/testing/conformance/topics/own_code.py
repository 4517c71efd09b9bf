"""Errors of validators and serializers become errors of the state, which never quote the state."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, PlainSerializer, PlainValidator, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from sessionstore import CorruptStateError, InvalidStateError, SessionStoreError, StorageProvider

from ...support.documents import draft, key
from ..given import Managed

SECRET = "s3cret"


class OwnError(Exception):
    pass


class OwnValueError(ValueError):
    pass


class NoTextError(Exception):
    def __str__(self) -> str:
        raise RuntimeError(SECRET)


class NoTextValueError(ValueError):
    def __str__(self) -> str:
        raise RuntimeError(SECRET)


# The exception, and the class that the error names.
RAISED: dict[str, tuple[BaseException, str]] = {
    error.__class__.__name__: (error, error.__class__.__name__)
    for error in (
        KeyError(SECRET),
        IndexError(SECRET),
        ZeroDivisionError(SECRET),
        TypeError(SECRET),
        AttributeError(SECRET),
        ValueError(SECRET),
        AssertionError(SECRET),
        OSError(5, SECRET),
        RuntimeError(SECRET),
        RecursionError(SECRET),
        MemoryError(SECRET),
        NotImplementedError(SECRET),
        StopIteration(SECRET),
        StopAsyncIteration(SECRET),
        UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
        OwnError(SECRET),
        OwnValueError(SECRET),
        NoTextError(SECRET),
        InvalidStateError(SECRET),
        SessionStoreError(SECRET),
    )
}
RAISED["a value error without a text"] = (NoTextValueError(SECRET), "")
RAISED["an error of pydantic's with a type of its own"] = (PydanticCustomError(SECRET, SECRET), "custom_error")


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def assert_discreet(error: BaseException | None) -> None:
    for each in chain(error):
        for shown in (str(each), repr(each), repr(each.args), repr(vars(each)), pickle.dumps(each).decode("latin-1")):
            assert SECRET not in shown
    assert error is not None
    assert len(list(chain(error))) == 1
    assert SECRET not in "".join(traceback.format_exception(error))


def raising(error: BaseException) -> Any:
    def fail(_: Any) -> Any:
        raise error

    return fail


def cases() -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("raised", "name"), list(RAISED.values()), ids=list(RAISED))


@cases()
async def test_an_error_of_a_validator_on_reading_is_a_corrupt_state(
    managed: Managed, storage: StorageProvider, raised: Exception, name: str
) -> None:
    class Chat(BaseModel):
        text: Annotated[str, PlainValidator(raising(raised))]

    await storage.create(draft(state=f'{{"text":"{SECRET}"}}'))
    before = await storage.get(key(), touch=False)
    chats = managed(default_state=lambda _: Chat.model_construct(text="x"), state_type=Chat)
    for failed in (
        await chats.get_session("s"),
        await chats.create_session("other"),
        await chats.update_session("s", lambda _: None),
    ):
        assert isinstance(failed.error, InvalidStateError)
        assert name in failed.error.reason
        assert_discreet(failed.error)
    assert isinstance((await chats.get_session("s")).error, CorruptStateError)
    assert await storage.get(key(), touch=False) == before


@cases()
async def test_an_error_of_a_serializer_is_an_invalid_state_with_its_place(
    managed: Managed, storage: StorageProvider, raised: Exception, name: str
) -> None:
    if not name:
        name = type(raised).__name__
    if isinstance(raised, PydanticCustomError):
        name = "PydanticCustomError"
    if isinstance(raised, RecursionError):
        name = "PydanticSerializationError"  # pydantic replaces this exception by its own

    class Turn(BaseModel):
        at: int = 0
        text: Annotated[str, PlainSerializer(raising(raised))] = SECRET

    class Chat(BaseModel):
        turns: dict[str, list[Turn | None]] = {}

    chats = managed(default_state=lambda _: Chat(), state_type=Chat)
    before = await chats.create_session("s")
    bad = Chat(turns={"a": [None], "b": [None, Turn()]})
    refused = await chats.update_session("s", lambda _: bad)
    assert isinstance(refused.error, InvalidStateError)
    assert refused.error.path == "$.turns.b[1].text"
    assert name in refused.error.reason
    assert_discreet(refused.error)
    after = await chats.get_session("s")
    assert (after.data, after.version) == (before.data, before.version)


async def test_a_validator_that_fails_only_on_what_is_read_back_refuses_the_write(managed: Managed) -> None:
    class Chat(BaseModel):
        text: str = ""

        @field_validator("text")
        @classmethod
        def known(cls, text: str, info: ValidationInfo) -> str:
            if info.mode == "json" and text:
                raise KeyError(text)
            return text

    chats = managed(default_state=lambda _: Chat(), state_type=Chat)
    await chats.create_session("s")
    refused = await chats.update_session("s", lambda _: Chat(text=SECRET))
    assert isinstance(refused.error, InvalidStateError)
    assert "KeyError" in refused.error.reason
    assert_discreet(refused.error)


async def test_an_error_of_the_update_function_is_not_changed(managed: Managed) -> None:
    chats = managed()
    await chats.create_session("s")
    for raised in (KeyError(SECRET), InvalidStateError("mine"), OwnValueError(SECRET)):
        with pytest.raises(type(raised)) as caught:
            await chats.update_session("s", raising(raised))
        assert caught.value is raised


@pytest.mark.parametrize("bad", [{"a": f"{SECRET}\0"}, {"a": f"{SECRET}\ud800"}, {"a": {SECRET}}, {"a": [SECRET, b""]}])
async def test_a_refusal_has_no_cause_that_holds_the_state(managed: Managed, bad: Any) -> None:
    refused = await managed(default_state=lambda _: bad).create_session("s")
    assert_discreet(refused.error)


async def test_a_text_that_is_no_json_has_no_cause_that_holds_it(managed: Managed, storage: StorageProvider) -> None:
    class Chat(BaseModel):
        text: int

    await storage.create(draft(state=f'{{"text":"{SECRET}"}}'))
    assert_discreet((await managed(state_type=Chat).get_session("s")).error)

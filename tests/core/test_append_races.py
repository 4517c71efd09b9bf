"""Appends whose session changes between their steps, and items that do not fit their type."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from sessionstore import (
    CorruptStateError,
    MemoryStorageProvider,
    SessionConflictError,
    SessionManager,
    SessionNotFoundError,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
)
from sessionstore.storage import Append, Document, Key, Summary
from sessionstore.testing.support.documents import Chat, new_chat


class RacingStorage(MemoryStorageProvider):
    """A memory storage in which others act between two calls.

    Attributes:
        after_append: Is called once after the next append.
        before_append: Is called once before the next append.
        ids: The ids of the appends that were sent.
        before_access: Is called once before the next read that is an access.
        reads: How many reads there were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.after_append: Callable[[], Awaitable[object]] | None = None
        self.before_append: Callable[[], Awaitable[object]] | None = None
        self.before_access: Callable[[], Awaitable[object]] | None = None
        self.ids: list[str] = []
        self.reads = 0

    async def append_many(self, appends: Sequence[Append]) -> Sequence[Summary | None]:
        act, self.before_append = self.before_append, None
        if act is not None:
            await act()
        self.ids += [append.id for append in appends]
        appended = await super().append_many(appends)
        act, self.after_append = self.after_append, None
        if act is not None:
            await act()
        return appended

    async def get_many(self, keys: Sequence[Key], **options: Any) -> Sequence[Document | None]:
        self.reads += 1
        if options.get("touch", True):
            act, self.before_access = self.before_access, None
            if act is not None:
                await act()
        return await super().get_many(keys, **options)


@pytest.fixture
async def storage() -> RacingStorage:
    return RacingStorage()


@pytest.fixture
async def desk(storage: RacingStorage) -> SessionManager[Any]:
    return SessionManager(new_chat, storage, "chat")


async def data(desk: SessionManager[Any]) -> list[Any]:
    return [item.data for item in (await desk.get_items("s")).items]


async def test_an_append_alone_reads_nothing(storage: RacingStorage, desk: SessionManager[Chat]) -> None:
    await desk.create_session("s")
    assert (await desk.append_items("s", ["a"], idempotency_key="k", expected_position=0, create=True)).success
    assert (storage.reads, len(storage.ids)) == (0, 1)
    assert (await desk.append_items("t", ["a"], idempotency_key="k", expected_position=0, create=True)).created
    assert (storage.reads, len(storage.ids)) == (0, 2)


async def test_a_session_that_appears_meanwhile_gets_the_items(
    storage: RacingStorage, desk: SessionManager[Chat]
) -> None:
    storage.after_append = lambda: desk.create_session("s", items=["first"])
    appended = await desk.append_items("s", ["a"])
    assert (appended.created, [item.position for item in appended.items]) == (False, [2])
    assert await data(desk) == ["first", "a"]
    assert len(set(storage.ids)) == len(storage.ids) == 2


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_session_that_another_caller_creates_first_gets_the_items(
    storage: RacingStorage, desk: SessionManager[Chat], key: str | None
) -> None:
    storage.before_append = lambda: desk.create_session("s", items=["first"])
    appended = await desk.append_items("s", ["a"], create=True, idempotency_key=key)
    assert (appended.created, [item.position for item in appended.items]) == (False, [2])
    assert await data(desk) == ["first", "a"]
    assert len(storage.ids) == 1


async def test_a_session_that_another_owner_creates_first_is_not_found(
    storage: RacingStorage, desk: SessionManager[Chat]
) -> None:
    storage.before_append = lambda: desk.create_session("s", owner_id="u1")
    appended = await desk.append_items("s", ["a"], create=True, owner_id="u2")
    assert isinstance(appended.error, SessionNotFoundError)
    assert await data(desk) == []


async def test_a_session_that_is_deleted_meanwhile_is_created_anew(
    storage: RacingStorage, desk: SessionManager[Chat]
) -> None:
    await desk.create_session("s", items=["old"])
    storage.after_append = lambda: desk.delete_session("s")
    conflict = await desk.append_items("s", ["a"], create=True, expected_position=5)
    assert isinstance(conflict.error, SessionConflictError)
    assert (conflict.error.expected, conflict.error.actual) == (5, 0)
    await desk.create_session("s", items=["old"])
    storage.after_append = lambda: desk.delete_session("s")
    created = await desk.append_items("s", ["a"], create=True, expected_position=0)
    assert (created.created, [item.position for item in created.items]) == (True, [1])
    assert await data(desk) == ["a"]


async def test_a_position_that_is_reached_meanwhile_is_followed(
    storage: RacingStorage, desk: SessionManager[Chat]
) -> None:
    await desk.create_session("s")
    storage.after_append = lambda: desk.append_items("s", ["first"])
    appended = await desk.append_items("s", ["a"], expected_position=1)
    assert [item.position for item in appended.items] == [2]


@pytest.mark.parametrize("create", [False, True])
async def test_a_timeout_in_an_append_says_that_it_may_have_landed(
    storage: RacingStorage, desk: SessionManager[Chat], create: bool
) -> None:
    await desk.create_session("s")
    storage.after_append = asyncio.Event().wait
    with pytest.raises((UpdateOutcomeUnknownError, StorageUnavailableError)) as raised:
        await desk.append_items("s", ["a"], create=create, timeout=timedelta(milliseconds=50))
    assert raised.type is UpdateOutcomeUnknownError


class Message(BaseModel):
    text: str


async def test_an_item_that_does_not_fit_its_type_is_named_by_its_position(storage: RacingStorage) -> None:
    plain: SessionManager[Any] = SessionManager(new_chat, storage, "chat")
    typed = SessionManager(new_chat, storage, "chat", item_type=Message)
    await typed.create_session("s", items=[Message(text="a")])
    await plain.append_items("s", [{"texts": "secret"}], ids=["m2"])
    await typed.append_items("s", [Message(text="c")])
    for result in (
        await typed.get_session("s", last_items=9),
        await typed.get_items("s"),
        await typed.find_item("m2"),
        await typed.pop_items("s", 2),
    ):
        assert isinstance(result.error, CorruptStateError)
        assert result.error.path.startswith("$[2]")
        assert "secret" not in str(result.error)
        assert (result.session_id, result.last_position) == ("s", 3)
        assert result.version is not None
    assert [item.data for item in result.items] == [Message(text="c")]
    assert [item.data for item in (await typed.get_items("s")).items] == [Message(text="a")]


async def test_a_key_of_an_earlier_session_is_not_told_with_the_state_of_a_later_one(
    storage: RacingStorage, desk: SessionManager[Any]
) -> None:
    def turn(chat: Chat) -> None:
        chat["turns"].append("again")

    async def replace_the_session() -> None:
        await desk.delete_session("s")
        await desk.create_session("s")

    await desk.create_session("s")
    await desk.update_session("s", turn, append=["first"], idempotency_key="m1")
    storage.before_access = replace_the_session
    updated = await desk.update_session("s", turn, append=["second"], idempotency_key="m1")
    assert updated.applied
    assert updated.unwrap()["turns"] == ["again"]
    storage.before_access = replace_the_session
    appended = await desk.append_items("s", ["third"], idempotency_key="m1")
    assert (appended.applied, [item.position for item in appended.items]) == (True, [1])
    assert [item.data for item in (await desk.get_items("s")).items] == ["third"]

"""Updates of one session, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from sessionstore import (
    ConfigurationError,
    InvalidStateError,
    SessionConflictError,
    SessionManager,
    SessionNotFoundError,
    SessionStoreError,
    StorageProvider,
)
from sessionstore.storage import Document, Write

from ...clock import ManualClock
from ...support.documents import TTL, Chat, draft, increment, key, new_chat, put, rewrite, set_to


async def test_an_update_writes_what_the_function_returns(chats: SessionManager[Chat]) -> None:
    created = await chats.create_session("s")
    updated = await chats.update_session("s", lambda state: {**state, "n": state["n"] + 5})
    assert updated.unwrap() == {**new_chat("s"), "n": 5}
    assert created.version is not None
    assert updated.version == created.version + 1
    read = await chats.get_session("s")
    assert (read.data, read.version) == (updated.data, updated.version)


async def test_an_update_writes_what_the_function_changed_in_place(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s")
    updated = await chats.update_session("s", lambda state: state["turns"].append("hello"))
    assert updated.unwrap()["turns"] == ["hello"]
    assert (await chats.get_session("s")).unwrap()["turns"] == ["hello"]


async def test_an_update_replaces_the_whole_state(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s")
    await chats.update_session("s", lambda _: {"other": [None, {}]})
    assert (await chats.get_session("s")).unwrap() == {"other": [None, {}]}


async def test_an_empty_state_that_is_returned_replaces_the_state(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s")
    assert (await chats.update_session("s", lambda _: {})).unwrap() == {}
    assert (await chats.get_session("s")).unwrap() == {}


async def test_the_updated_state_is_the_callers_own(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s")
    kept: Chat = {"turns": []}
    updated = await chats.update_session("s", lambda _: kept)
    kept["turns"].append("later")
    updated.unwrap()["turns"].append("later, too")
    assert (await chats.get_session("s")).unwrap() == {"turns": []}


async def test_an_update_keeps_the_facts_of_the_session(chats: SessionManager[Chat], clock: ManualClock) -> None:
    created = (await chats.create_session("s", origin={"a": 1}, owner_id="u1")).metadata
    clock.advance(TTL / 2)
    updated = (await chats.update_session("s", increment)).metadata
    assert created is not None
    assert updated is not None
    assert (updated.origin, updated.owner_id, updated.ttl) == ({"a": 1}, "u1", TTL)
    assert (updated.created_at, updated.updated_at) == (created.created_at, clock())
    assert updated == (await chats.get_session("s", touch=False)).metadata


async def test_an_update_is_an_access(chats: SessionManager[Chat], clock: ManualClock) -> None:
    await chats.create_session("s")
    clock.advance(TTL)
    updated = (await chats.update_session("s", increment)).metadata
    assert updated is not None
    assert updated.expires_at is not None
    assert clock() + TTL <= updated.expires_at <= clock() + TTL * 1.1
    assert updated.last_accessed_at == clock()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("mine"),
        LookupError("mine"),
        SessionNotFoundError("other"),
        SessionConflictError("other", expected=1, actual=2),
        InvalidStateError("mine"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_of_an_update_function_reaches_the_caller_and_nothing_is_written(
    chats: SessionManager[Chat], error: Exception
) -> None:
    created = await chats.create_session("s")

    def change_and_raise(state: Chat) -> None:
        state["n"] = 99
        raise error

    with pytest.raises(type(error)) as raised:
        await chats.update_session("s", change_and_raise)
    assert raised.value is error
    read = await chats.get_session("s")
    assert (read.data, read.version) == (new_chat("s"), created.version)


async def test_a_coroutine_function_is_refused_as_an_update_function(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s")

    async def change(state: Chat) -> None:
        state["n"] = 99

    with pytest.raises(TypeError, match="coroutine"):
        await chats.update_session("s", change)  # type: ignore[arg-type]
    assert (await chats.get_session("s")).unwrap() == new_chat("s")


async def test_an_update_of_the_expected_version_lands(chats: SessionManager[Chat]) -> None:
    version = (await chats.create_session("s")).version
    for n in range(3):
        updated = await chats.update_session("s", increment, expected_version=version)
        assert updated.unwrap()["n"] == n + 1
        version = updated.version


_NO_VERSIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "text": str,
    "float": float,
    "truth": lambda _: True,
    "list": lambda version: [version],
}


@pytest.mark.parametrize("kind", _NO_VERSIONS.values(), ids=list(_NO_VERSIONS))
async def test_an_invalid_expected_version_is_refused_and_the_message_says_what_to_give(
    chats: SessionManager[Chat], kind: Any
) -> None:
    version = (await chats.create_session("s")).version
    with pytest.raises(ConfigurationError, match="expected_version must be"):
        await chats.update_session("s", increment, expected_version=kind(version))
    assert (await chats.get_session("s")).version == version


async def test_an_unexpected_version_is_a_conflict_after_one_attempt(chats: SessionManager[Chat]) -> None:
    read = await chats.create_session("s")
    now = await chats.update_session("s", set_to(1))
    calls: list[Chat] = []
    refused = await chats.update_session("s", calls.append, expected_version=read.version)
    assert len(calls) <= 1
    assert isinstance(refused.error, SessionConflictError)
    assert (refused.error.expected, refused.error.actual) == (read.version, now.version)
    assert (refused.success, refused.data) == (False, None)
    after = await chats.get_session("s")
    assert (after.version, after.unwrap()["n"]) == (now.version, 1)


@pytest.mark.parametrize("expected", [0, -1, 2**70])
async def test_a_version_that_no_session_can_have_is_a_conflict(chats: SessionManager[Chat], expected: int) -> None:
    await chats.create_session("s")
    refused = await chats.update_session("s", increment, expected_version=expected)
    assert isinstance(refused.error, SessionConflictError)


@pytest.mark.parametrize("expected_version", [None, 1])
async def test_an_absent_session_is_not_found_and_the_function_not_called(
    chats: SessionManager[Chat], expected_version: int | None
) -> None:
    calls: list[Chat] = []
    missing = await chats.update_session("s", calls.append, expected_version=expected_version)
    assert isinstance(missing.error, SessionNotFoundError)
    assert calls == []


async def test_an_update_does_not_resurrect_an_expired_session(chats: SessionManager[Chat], clock: ManualClock) -> None:
    created = await chats.create_session("s")
    clock.advance(TTL * 2)
    for expected_version in (None, created.version):
        missing = await chats.update_session("s", increment, expected_version=expected_version)
        assert isinstance(missing.error, SessionNotFoundError)
    assert not (await chats.get_session("s")).success


async def test_a_batch_writes_only_where_the_version_still_is(storage: StorageProvider) -> None:
    created = await storage.create_many([draft("a"), draft("b"), draft("c")])
    a, b, c = (creation.document.summary for creation in created)
    await storage.update(Write(b, '{"n":1}'))
    written = await storage.update_many(
        [
            Write(c, '{"n":2}'),
            Write(b, '{"n":2}'),
            Write(a._replace(key=key("x")), '{"n":2}'),
            Write(a, '{"n":2}'),
        ]
    )
    assert [summary and (summary.key, summary.version) for summary in written] == [
        (key("c"), c.version + 1),
        None,
        None,
        (key("a"), a.version + 1),
    ]
    read = await storage.get_many([key("a"), key("b"), key("c")])
    assert [document and document.state.replace(" ", "") for document in read] == ['{"n":2}', '{"n":1}', '{"n":2}']


async def test_a_locked_update_writes_what_the_function_gives(storage: StorageProvider, clock: ManualClock) -> None:
    created = (await storage.create(draft(state='{"n":1}'))).document
    clock.advance(TTL)
    seen: list[Document] = []

    def apply(document: Document) -> Write:
        seen.append(document)
        return rewrite(document, '{"n":2}')

    written = await storage.update_locked(key(), apply)
    assert written is not None
    assert written.version == created.summary.version + 1
    assert written.expires_at is not None
    assert written.expires_at >= clock() + TTL
    assert [document.summary.version for document in seen] == [created.summary.version]
    read = await storage.get(key(), touch=False)
    assert read is not None
    assert (read.state.replace(" ", ""), read.summary) == ('{"n":2}', written)


@pytest.mark.parametrize("error", [ValueError("mine"), SessionStoreError("mine")], ids=lambda e: type(e).__name__)
async def test_a_locked_update_whose_function_raises_writes_nothing(storage: StorageProvider, error: Exception) -> None:
    await put(storage, "s")
    before = await storage.get(key(), touch=False)

    def apply(document: Document) -> Write:
        raise error

    with pytest.raises(type(error)) as raised:
        await storage.update_locked(key(), apply)
    assert raised.value is error
    assert await storage.get(key(), touch=False) == before
    assert await storage.update_locked(key(), rewrite) is not None


async def test_a_locked_update_of_an_absent_or_expired_session_is_none(
    storage: StorageProvider, clock: ManualClock
) -> None:
    calls: list[Any] = []
    await put(storage, "expired")
    clock.advance(TTL * 2)
    for session_id in ("expired", "never"):
        assert await storage.update_locked(key(session_id), calls.append) is None
    assert calls == []


async def test_each_of_several_locked_updates_is_written_or_not_by_itself(storage: StorageProvider) -> None:
    await put(storage, "a", "b", "c")
    before = await storage.get_many([key("a"), key("b"), key("c")], touch=False)

    def apply(document: Document) -> Write | None:
        return None if document.summary.key == key("b") else rewrite(document, '{"n":2}')

    written = await storage.update_locked_many([key("c"), key("never"), key("b"), key("a")], apply)
    assert [summary and summary.key for summary in written] == [key("c"), None, None, key("a")]
    read = await storage.get_many([key("a"), key("b"), key("c")], touch=False)
    assert [document and document.state.replace(" ", "") for document in read] == ['{"n":2}', "{}", '{"n":2}']
    assert read[1] == before[1]
    assert await storage.update_locked_many([], apply) == []


async def test_a_locked_update_of_many_whose_function_raises_writes_none_of_them(storage: StorageProvider) -> None:
    await put(storage, "a", "b")
    before = await storage.get_many([key("a"), key("b")], touch=False)

    def apply(document: Document) -> Write:
        if document.summary.key == key("b"):
            raise ValueError("mine")
        return rewrite(document, '{"n":2}')

    with pytest.raises(ValueError, match="mine"):
        await storage.update_locked_many([key("a"), key("b")], apply)
    assert await storage.get_many([key("a"), key("b")], touch=False) == before


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
async def test_a_write_of_several_updates_raises_the_version_by_their_number(
    storage: StorageProvider, *, many: bool
) -> None:
    await put(storage, "a", "b")
    read = [document for document in await storage.get_many([key("a"), key("b")], touch=False) if document]
    writes = [replace(rewrite(document), count=3) for document in read][: 2 if many else 1]
    written = await storage.update_many(writes)
    assert [summary and summary.version for summary in written] == [write.read.version + 3 for write in writes]

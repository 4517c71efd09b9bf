"""Updates with an idempotency key, delivered twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sessionstore import ConfigurationError, SessionConflictError, SessionManager, SessionNotFoundError, StorageProvider

from ...clock import ManualClock
from ...support.documents import TTL, Chat, append, increment, new_chat
from ..given import OpenAnother


async def desk_on(storage: StorageProvider, *, keys: int = 64) -> SessionManager[Chat]:
    desk = SessionManager(new_chat, storage, "chat", ttl=TTL, idempotency_keys=keys)
    await desk.create_session("s")
    return desk


async def test_an_update_delivered_twice_is_applied_once(storage: StorageProvider) -> None:
    desk = await desk_on(storage)
    first = await desk.update_session("s", increment, idempotency_key="msg-1")
    await desk.update_session("s", append("x"))
    again = await desk.update_session("s", increment, idempotency_key="msg-1")
    assert (first.applied, again.applied, again.success) == (True, False, True)
    assert again.unwrap() == {"id": "s", "n": 1, "turns": ["x"]}
    assert again.version == (first.version or 0) + 1


async def test_another_process_knows_which_keys_were_applied(
    storage: StorageProvider, open_another: OpenAnother
) -> None:
    desk = await desk_on(storage)
    await desk.update_session("s", increment, idempotency_key="msg-1")
    other = await desk_on(await open_another())
    again = await other.update_session("s", increment, idempotency_key="msg-1")
    assert (again.applied, again.unwrap()["n"]) == (False, 1)
    assert (await other.update_session("s", increment, idempotency_key="msg-2")).applied
    assert not (await desk.update_session("s", increment, idempotency_key="msg-2")).applied


async def test_deliveries_at_once_are_applied_once(storage: StorageProvider, open_another: OpenAnother) -> None:
    desks = [await desk_on(storage), await desk_on(await open_another())]
    calls = [
        desk.update_session("s", append(n), idempotency_key=f"msg-{n}")
        for n in range(8)
        for desk in desks
        for _ in range(3)
    ]
    results = await asyncio.gather(*calls)
    assert sum(result.applied for result in results) == 8
    assert sorted((await desks[0].get_session("s")).unwrap()["turns"]) == list(range(8))


async def test_an_idempotency_key_counts_for_its_session_only(storage: StorageProvider) -> None:
    desk = await desk_on(storage)
    await desk.create_session("t")
    assert (await desk.update_session("s", increment, idempotency_key="msg-1")).applied
    assert (await desk.update_session("t", increment, idempotency_key="msg-1")).applied
    await desk.delete_session("s")
    await desk.create_session("s")
    assert (await desk.update_session("s", increment, idempotency_key="msg-1")).applied


async def test_only_the_last_idempotency_keys_are_remembered(storage: StorageProvider) -> None:
    desk = await desk_on(storage, keys=3)
    for n in range(4):
        await desk.update_session("s", increment, idempotency_key=f"msg-{n}")
        await desk.update_session("s", increment)
    assert [(await desk.update_session("s", increment, idempotency_key=f"msg-{n}")).applied for n in (1, 2, 3, 0)] == [
        False,
        False,
        False,
        True,
    ]


async def test_the_key_of_an_update_that_failed_is_not_remembered(storage: StorageProvider) -> None:
    desk = await desk_on(storage)

    def fail(_: Chat) -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError):
        await desk.update_session("s", fail, idempotency_key="msg-1")
    assert (await desk.update_session("s", increment, idempotency_key="msg-1")).applied


async def test_a_second_delivery_is_recognized_before_its_expected_version_is_compared(
    storage: StorageProvider,
) -> None:
    desk = await desk_on(storage)
    version = (await desk.get_session("s")).version
    await desk.update_session("s", increment, expected_version=version, idempotency_key="msg-1")
    again = await desk.update_session("s", increment, expected_version=version, idempotency_key="msg-1")
    assert (again.applied, again.success) == (False, True)
    other = await desk.update_session("s", increment, expected_version=version, idempotency_key="msg-2")
    assert isinstance(other.error, SessionConflictError)
    assert not other.applied


async def test_a_second_delivery_is_an_access(storage: StorageProvider, clock: ManualClock) -> None:
    desk = await desk_on(storage)
    await desk.update_session("s", increment, idempotency_key="msg-1")
    clock.advance(TTL)
    await desk.update_session("s", increment, idempotency_key="msg-1")
    clock.advance(TTL - timedelta(seconds=1))
    assert (await desk.get_session("s")).success


async def test_a_new_session_remembers_no_keys_of_an_earlier_session(storage: StorageProvider) -> None:
    desk = await desk_on(storage)
    await desk.update_session("s", increment, idempotency_key="msg-1")
    await desk.delete_session("s")
    again = await desk.update_session("s", increment, idempotency_key="msg-1")
    assert isinstance(again.error, SessionNotFoundError)


@pytest.mark.parametrize("key", ["", "a\0b", "x" * 256, "\ud800"])
async def test_an_invalid_idempotency_key_is_refused(storage: StorageProvider, key: str) -> None:
    desk = await desk_on(storage)
    with pytest.raises(ConfigurationError, match="idempotency_key"):
        await desk.update_session("s", increment, idempotency_key=key)

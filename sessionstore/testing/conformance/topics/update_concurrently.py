"""Concurrent updates: none is lost, and none is applied twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from sessionstore import InvalidStateError, SessionConflictError, SessionManager, SessionNotFoundError, StorageProvider
from sessionstore.storage import Document, Write

from ...support.documents import Chat, draft, increment, key, rewrite
from ..given import Managed, OpenAnother


async def test_concurrent_updates_of_one_session_lose_nothing(managed: Managed, open_another: OpenAnother) -> None:
    desks = [managed(await open_another()) for _ in range(3)]
    await desks[0].create_session("s")

    def append(turn: int) -> Callable[[Chat], None]:
        return lambda state: state["turns"].append(turn)

    results = await asyncio.gather(*(desks[n % 3].update_session("s", append(n)) for n in range(24)))
    assert all(result.success for result in results)
    assert all(n in result.unwrap()["turns"] for n, result in enumerate(results))
    assert sorted((await desks[1].get_session("s")).unwrap()["turns"]) == list(range(24))


async def test_concurrent_updates_of_many_sessions_each_change_their_own_session(
    managed: Managed, open_another: OpenAnother
) -> None:
    desks = [managed(await open_another()) for _ in range(3)]
    names = [f"s{n}" for n in range(8)]
    await asyncio.gather(*(desks[0].create_session(name) for name in names))
    await asyncio.gather(*(desk.update_session(name, increment) for desk in desks for _ in range(2) for name in names))
    states = [(await desks[0].get_session(name)).unwrap() for name in names]
    assert [(state["id"], state["n"]) for state in states] == [(name, 6) for name in names]


async def test_concurrent_updaters_each_get_a_state_of_their_own(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s")
    results = await asyncio.gather(*(chats.update_session("s", increment) for _ in range(6)))
    states = [result.unwrap() for result in results]
    assert len({id(state["turns"]) for state in states}) == 6
    for state in states:
        state["turns"].append("only mine")
        assert state["turns"] == ["only mine"]
    assert (await chats.get_session("s")).unwrap()["turns"] == []


async def test_a_failing_update_fails_alone_among_concurrent_ones(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s")

    def change_and_raise(state: Chat) -> None:
        state["n"] += 1000
        raise ZeroDivisionError

    def change_and_spoil(state: Chat) -> None:
        state["n"] += 1000
        state["turns"].append(float("nan"))

    results = await asyncio.gather(
        chats.update_session("s", increment),
        chats.update_session("s", change_and_raise),
        chats.update_session("s", increment),
        chats.update_session("s", change_and_spoil),
        chats.update_session("never", increment),
        chats.update_session("s", increment, expected_version=1),
        chats.update_session("s", increment),
        return_exceptions=True,
    )
    outcomes = [type(result if isinstance(result, BaseException) else result.error) for result in results]
    none = type(None)
    assert outcomes == [
        none,
        ZeroDivisionError,
        none,
        InvalidStateError,
        SessionNotFoundError,
        SessionConflictError,
        none,
    ]
    assert (await chats.get_session("s")).unwrap() == {"id": "s", "n": 3, "turns": []}


async def test_a_cancelled_update_is_cancelled_alone(chats: SessionManager[Chat]) -> None:
    await chats.create_session("s")
    tasks = [asyncio.ensure_future(chats.update_session("s", increment)) for _ in range(9)]
    await asyncio.sleep(0)
    cancelled = tasks[::3]
    for task in cancelled:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    landed = [result for result in results if not isinstance(result, BaseException)]
    assert len(landed) >= 6
    assert all(result.success for result in landed)
    n = (await chats.get_session("s")).unwrap()["n"]
    assert len(landed) <= n <= 9
    assert (await chats.update_session("s", increment)).unwrap()["n"] == n + 1


async def test_exactly_one_of_updates_that_expect_one_version_lands(
    managed: Managed, open_another: OpenAnother
) -> None:
    desks = [managed(await open_another()) for _ in range(3)]
    version = (await desks[0].create_session("s")).version
    results = await asyncio.gather(
        *(desks[n % 3].update_session("s", increment, expected_version=version) for n in range(9))
    )
    assert sum(result.success for result in results) == 1
    errors = [result.error for result in results if result.error]
    assert all(isinstance(error, SessionConflictError) and error.expected == version for error in errors)
    assert (await desks[0].get_session("s")).unwrap()["n"] == 1


async def test_an_update_under_the_lock_is_applied_in_the_thread_of_an_event_loop(storage: StorageProvider) -> None:
    await storage.create(draft())
    loops: list[asyncio.AbstractEventLoop] = []

    def apply(document: Document) -> Write:
        loops.append(asyncio.get_running_loop())  # functions of services may use the running loop
        return rewrite(document)

    assert await storage.update_locked(key(), apply) is not None
    assert loops


async def test_concurrent_locked_updates_queue_and_lose_nothing(
    storage: StorageProvider, open_another: OpenAnother
) -> None:
    others = [storage, await open_another(), await open_another()]
    await storage.create(draft(state='{"n":0}'))

    found: list[int] = []

    def apply(document: Document) -> Write:
        found.append(json.loads(document.state)["n"])
        return rewrite(document, json.dumps({"n": found[-1] + 1}))

    written = await asyncio.gather(*(others[n % 3].update_locked(key(), apply) for n in range(12)))
    assert None not in written
    assert found == list(range(12))


async def test_an_update_and_a_deletion_at_once_leave_no_session(managed: Managed, open_another: OpenAnother) -> None:
    writer, remover = managed(), managed(await open_another())
    for _ in range(5):
        await writer.create_session("s")
        updated, deleted = await asyncio.gather(writer.update_session("s", increment), remover.delete_session("s"))
        assert deleted.unwrap() is True
        assert updated.success or isinstance(updated.error, SessionNotFoundError)
        assert not (await writer.get_session("s")).success

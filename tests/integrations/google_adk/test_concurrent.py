"""Several tasks and processes append to one session, or change one state."""

from __future__ import annotations

import asyncio

import pytest
from google.adk.errors._stale_session_error import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError

from sessionstore import open_storage
from sessionstore.integrations.google_adk import StoredSessionService
from tests.support.processes import python

from .events import APP, USER, created, event, loaded, texts


async def test_processes_that_append_to_one_session_lose_nothing(shared_url: str) -> None:
    async with open_storage(shared_url) as storage:
        service = StoredSessionService(storage)
        await created(service)
        module = "tests.integrations.google_adk.appending"
        ended = await asyncio.gather(*(python("-m", module, shared_url, name, "5") for name in "ab"))
        assert [it.status for it in ended] == [0, 0], ended
        session = await loaded(service)
        for name in "ab":
            assert [text for text in texts(session) if text and text[0] == name] == [f"{name}-{n}" for n in range(5)]
            assert session.state[name] == session.state[f"app:{name}"] == 4
        assert session.state["app:last"] == texts(session)[-1]


async def test_exactly_one_of_several_stale_copies_appends(service: StoredSessionService) -> None:
    session = await created(service)
    copies = [session.model_copy(deep=True) for _ in range(6)]
    told = await asyncio.gather(
        *(service.append_event(copy, event(str(n), **{f"k{n}": n, "app__k": n})) for n, copy in enumerate(copies)),
        return_exceptions=True,
    )
    assert sum(isinstance(it, StaleSessionError) for it in told) == 5
    session = await loaded(service)
    (winner,) = texts(session)
    assert session.state == {f"k{winner}": int(winner or ""), "app:k": int(winner or "")}


async def test_tasks_that_share_one_session_object_all_append(service: StoredSessionService) -> None:
    session = await created(service)
    await asyncio.gather(*(service.append_event(session, event(str(n), **{f"k{n}": n})) for n in range(10)))
    assert sorted(texts(session), key=str) == [str(n) for n in range(10)]
    assert await loaded(service) == session


async def test_changes_of_one_state_by_many_sessions_lose_nothing(service: StoredSessionService) -> None:
    sessions = await asyncio.gather(*(created(service, f"s{n}") for n in range(12)))
    await asyncio.gather(
        *(
            service.append_event(session, event(**{f"app__k{n}": n, f"user__k{n}": n}))
            for n, session in enumerate(sessions)
        )
    )
    session = await loaded(service, "s0")
    assert session.state == {f"{scope}:k{n}": n for scope in ("app", "user") for n in range(12)}


async def test_exactly_one_of_several_creators_of_one_id_creates(service: StoredSessionService) -> None:
    told = await asyncio.gather(*(created(service, "s", n=n, app__n=n) for n in range(5)), return_exceptions=True)
    (winner,) = [it for it in told if not isinstance(it, BaseException)]
    assert sum(isinstance(it, AlreadyExistsError) for it in told) == 4
    assert await loaded(service) == winner


async def test_a_session_that_was_deleted_and_created_again_is_another_one(service: StoredSessionService) -> None:
    old = await created(service)
    await service.delete_session(app_name=APP, user_id=USER, session_id="s")
    new = await created(service)
    with pytest.raises(StaleSessionError):
        await service.append_event(old, event("old"))
    assert await loaded(service) == new


async def test_an_object_that_somebody_else_made_is_current_if_it_ends_with_the_last_event(
    service: StoredSessionService,
) -> None:
    session = await created(service)
    stale = session.model_copy(deep=True)
    await service.append_event(session, event("one"))
    session._storage_update_marker = stale._storage_update_marker = None
    session.last_update_time = 0.0
    stale.last_update_time = 1e10
    with pytest.raises(StaleSessionError):
        await service.append_event(stale, event("stale"))
    await service.append_event(session, event("two"))
    foreign = (await loaded(service)).model_copy(deep=True)
    foreign._storage_update_marker = "2026-01-01T00:00:00.000000"
    with pytest.raises(StaleSessionError):
        await service.append_event(foreign, event("foreign"))
    assert texts(await loaded(service)) == ["one", "two"]

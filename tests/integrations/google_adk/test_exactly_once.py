"""Each event and each of its changes is applied exactly once, also if a process dies in the middle."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest
from google.adk.errors._stale_session_error import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.sessions.base_session_service import GetSessionConfig

from sessionstore import open_storage
from sessionstore.integrations.google_adk import StoredSessionService
from tests.support.processes import ROOT

from .events import APP, USER, created, event, loaded, texts


@pytest.mark.parametrize("where", ["noted", "written", "applied", "told"])
async def test_an_event_of_a_killed_process_lands_once_with_all_its_changes(where: str, shared_url: str) -> None:
    async with open_storage(shared_url) as storage:
        service = StoredSessionService(storage)
        await created(service, n=0, app__n=0, user__n=0)
        other = await created(service, "other")
        new = event("killed", n=1, app__n=1, user__n=1)

        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integrations.google_adk.appending",
            shared_url,
            "killed",
            "0",
            where,
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
        )
        await process.communicate(new.model_dump_json().encode())
        assert process.returncode == -signal.SIGKILL

        session = await loaded(service)
        landed = where != "noted"
        assert texts(session) == ["killed"] * landed
        assert [session.state[key] for key in ("n", "app:n", "user:n")] == [int(landed)] * 3

        # What another session sets after that is not taken back when the event is delivered again.
        await service.append_event(other, event("newer", app__n=2))
        again = await loaded(service)
        await service.append_event(again, new)
        session = await loaded(service)
        assert session == await loaded(service)
        assert texts(session) == ["killed"]
        assert [session.state[key] for key in ("n", "app:n", "user:n")] == [1, 2 if landed else 1, 1]
        await service.append_event(again, event("next"))
        assert texts(await loaded(service)) == ["killed", "next"]


async def test_a_change_that_a_killed_process_left_open_shows_wherever_it_is_read_first(shared_url: str) -> None:
    async with open_storage(shared_url) as storage:
        service = StoredSessionService(storage)
        await created(service, app__n=0, user__n=0)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integrations.google_adk.appending",
            shared_url,
            "killed",
            "0",
            "written",
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
        )
        await process.communicate(event("killed", app__n=1, user__n=1).model_dump_json().encode())
        (listed,) = (await service.list_sessions(app_name=APP)).sessions
        assert listed.state == {"app:n": 1, "user:n": 1}
        assert await service.get_user_state(app_name=APP, user_id=USER) == {"n": 1}


async def test_an_event_is_delivered_again_after_hundreds_of_others(service: StoredSessionService) -> None:
    session = await created(service)
    first = event("first", n=1, app__n=1)
    await service.append_event(session, first.model_copy(deep=True))
    for number in range(2, 120):
        await service.append_event(session, event(str(number), n=number, app__n=number))
    whole = await loaded(service)
    for config in (GetSessionConfig(num_recent_events=0), GetSessionConfig(num_recent_events=3), None):
        part = await service.get_session(app_name=APP, user_id=USER, session_id="s", config=config)
        assert part is not None
        again = first.model_copy(deep=True)
        assert await service.append_event(part, again) is again
    assert await loaded(service) == whole


async def test_events_that_only_the_session_object_has_hide_no_stored_one(service: StoredSessionService) -> None:
    session = await created(service)
    first = event("first", n=1)
    await service.append_event(session, first.model_copy(deep=True))
    await service.append_event(session, event("second", n=2))
    config = GetSessionConfig(num_recent_events=1)
    part = await service.get_session(app_name=APP, user_id=USER, session_id="s", config=config)
    assert part is not None
    # ADK adds what one agent tells another to session objects, and does not store it.
    part.events += [event("only here"), event("and this")]
    await service.append_event(part, first)
    assert await loaded(service) == session
    await service.append_event(part, event("third"))
    assert texts(await loaded(service)) == ["first", "second", "third"]


async def test_a_caller_who_did_not_learn_that_an_event_landed_appends_it_again_and_goes_on(
    service: StoredSessionService,
) -> None:
    session = await created(service)
    new = event("lost", n=1)
    # The answer to this call is what the caller did not get.
    await service.append_event(session.model_copy(deep=True), new.model_copy(deep=True))
    await service.append_event(session, new)
    assert session == await loaded(service)
    await service.append_event(session, event("next"))
    assert texts(await loaded(service)) == ["lost", "next"]


async def test_a_caller_who_repeats_an_event_that_others_built_on_stays_stale(service: StoredSessionService) -> None:
    session = await created(service)
    theirs = session.model_copy(deep=True)
    new = event("lost")
    await service.append_event(theirs, new.model_copy(deep=True))
    await service.append_event(theirs, event("theirs"))
    await service.append_event(session, new)
    with pytest.raises(StaleSessionError, match="modified in storage"):
        await service.append_event(session, event("next"))
    assert texts(await loaded(service)) == ["lost", "theirs"]


@pytest.mark.parametrize("recent", [None, 0])
async def test_another_event_of_the_same_id_is_refused_and_changes_nothing(
    recent: int | None, service: StoredSessionService
) -> None:
    session = await created(service)
    await service.append_event(session, event("one", n=1))
    config = GetSessionConfig(num_recent_events=recent)
    part = await service.get_session(app_name=APP, user_id=USER, session_id="s", config=config)
    assert part is not None
    other = event("two", n=2).model_copy(update={"id": session.events[0].id})
    with pytest.raises(AlreadyExistsError):
        await service.append_event(part, other)
    assert await loaded(service) == session


async def test_callers_refused_at_once_each_learn_of_their_own_event(service: StoredSessionService) -> None:
    names = [f"s{n}" for n in range(12)]
    config = GetSessionConfig(num_recent_events=0)
    sessions = [await created(service, name) for name in names]
    stale = [
        await service.get_session(app_name=APP, user_id=USER, session_id=name, config=config if n % 4 < 2 else None)
        for n, name in enumerate(names)
    ]
    events = [event(name, n=name) for name in names]
    for session, new in zip(sessions, events, strict=True):
        await service.append_event(session, new.model_copy(deep=True))
        await service.append_event(session, event("later"))
    told = await asyncio.gather(
        *(
            service.append_event(session, new.model_copy(deep=True) if n % 2 else event("other"))
            for n, (session, new) in enumerate(zip(stale, events, strict=True))
            if session is not None
        ),
        return_exceptions=True,
    )
    assert [type(it) for it in told] == [StaleSessionError, type(events[0])] * 6
    assert [texts(await loaded(service, name)) for name in names] == [[name, "later"] for name in names]


async def test_an_event_that_is_not_new_creates_no_state_of_a_user_that_was_erased(
    service: StoredSessionService,
) -> None:
    session = await created(service)
    new = event("first", user__n=1)
    await service.append_event(session, new.model_copy(deep=True))
    config = GetSessionConfig(num_recent_events=0)
    part = await service.get_session(app_name=APP, user_id=USER, session_id="s", config=config)
    assert part is not None
    await service._shared.deleted(USER, None)
    await service.append_event(part, new)
    assert await service._shared.list("") == {}
    assert texts(await loaded(service)) == ["first"]

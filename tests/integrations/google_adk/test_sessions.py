"""Sessions: names of any text, what events and states keep, how long sessions live, and what an outage is."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events import Event, EventActions
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

from sessionstore import InvalidStateError, SessionManager, StorageProvider, StorageUnavailableError, open_storage
from sessionstore.integrations.google_adk import StoredSessionService
from sessionstore.testing.clock import ManualClock

from .conftest import TTL
from .events import APP, USER, created, event, loaded, texts

NAMES = [
    "plain",
    "a/b",
    "a",
    "b",
    "~",
    "%2F",
    "é 漢字",
    "x" * 500,
    "x" * 499 + "y",
    "nul\0",
    "\x1b",
    "\ud800",
    "\ud83d\ude00",
]


async def test_names_of_any_text_are_kept_apart(service: StoredSessionService) -> None:
    for number, name in enumerate(NAMES):
        await service.create_session(app_name=name, user_id="u", session_id="s", state={"app:n": number})
        await service.create_session(app_name="app", user_id=name, session_id="s", state={"user:n": number})
        await service.create_session(app_name="app", user_id="u", session_id=name, state={"n": number})
    for number, name in enumerate(NAMES):
        (of_app,) = (await service.list_sessions(app_name=name)).sessions
        assert (of_app.app_name, of_app.state) == (name, {"app:n": number})
        (of_user,) = (await service.list_sessions(app_name="app", user_id=name)).sessions
        assert (of_user.user_id, of_user.state) == (name, {"user:n": number})
        found = await service.get_session(app_name="app", user_id="u", session_id=name)
        assert found is not None
        assert (found.id, found.state) == (name, {"n": number})
    assert len((await service.list_sessions(app_name="app")).sessions) == 2 * len(NAMES)
    assert {it.id for it in (await service.list_sessions(app_name="app", user_id="u")).sessions} == set(NAMES)


async def test_app_names_that_meet_at_the_separator_are_kept_apart(service: StoredSessionService) -> None:
    await service.create_session(app_name="a", user_id="b/c", session_id="d", state={"user:x": 1})
    await service.create_session(app_name="a/b", user_id="c", session_id="d", state={"user:x": 2})
    assert await service.get_user_state(app_name="a", user_id="b/c") == {"x": 1}
    assert await service.get_user_state(app_name="a/b", user_id="c") == {"x": 2}
    assert (await service.list_sessions(app_name="a", user_id="b")).sessions == []


async def test_white_space_around_an_id_does_not_count(service: StoredSessionService) -> None:
    session = await created(service, "order-42\n", cart="book")
    assert session.id == "order-42"
    with pytest.raises(AlreadyExistsError):
        await created(service, "  order-42  ", cart="pen")
    assert (await loaded(service, " order-42")).state == {"cart": "book"}
    await service.delete_session(app_name=APP, user_id=USER, session_id="order-42\t")
    assert await service.get_session(app_name=APP, user_id=USER, session_id="order-42") is None
    blank = await created(service, "   ")
    assert blank.id.strip()
    assert await loaded(service, blank.id) == blank


async def test_an_event_comes_back_exactly(service: StoredSessionService) -> None:
    session = await created(service)
    full = Event(
        invocation_id="i",
        author="agent",
        timestamp=1_700_000_000.123456789,
        content=types.Content(
            role="model",
            parts=[
                types.Part(text="a\0b\ud800", thought=True, thought_signature=b"\x00\xff"),
                types.Part.from_bytes(data=bytes(range(256)), mime_type="image/png"),
                types.Part.from_function_call(name="f", args={"z": 1, "a": None, "m": [1.0, -0.0, 1e300, 2**80]}),
            ],
        ),
        grounding_metadata=types.GroundingMetadata(search_entry_point=types.SearchEntryPoint(sdk_blob=b"\xfe")),
        usage_metadata=types.GenerateContentResponseUsageMetadata(total_token_count=2),
        long_running_tool_ids={"b", "a"},
        custom_metadata={"z": 1, "a": {"deep": [None]}},
        actions=EventActions(artifact_delta={"f": 0}, transfer_to_agent="x", escalate=True),
    )
    await service.append_event(session, full)
    for _ in range(2):  # read from the storage, and copied from what was read before
        (again,) = (await loaded(service)).events
        assert again == full
        assert again.content is not full.content
        assert list((again.custom_metadata or {}).keys()) == ["z", "a"]
        again.content = None
        again.actions.artifact_delta.clear()


async def test_states_keep_every_json_value(service: StoredSessionService) -> None:
    values: dict[str, Any] = {
        "nul": "a\0b",
        "half": "\ud83d",
        "long": 10**30,
        "float": 1.0,
        "big": 1e16,
        "deep": {"z": [None, True, {"\0": "\udfff"}], "a": -0.0},
    }
    state = {f"{scope}{key}": value for scope in ("", "app:", "user:") for key, value in values.items()}
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s", state=state)
    assert session.state == state
    assert await loaded(service) == session
    await service.append_event(session, event(**{"app__more\0": "\0", "more": 1, "user__nul": "fine now"}))
    state |= {"app:more\0": "\0", "more": 1, "user:nul": "fine now"}
    assert (await loaded(service)).state == state
    assert (await service.list_sessions(app_name=APP)).sessions[0].state == state


async def test_a_value_that_is_no_json_is_stored_as_a_text(service: StoredSessionService) -> None:
    session = await created(service, at=datetime(2026, 1, 1, tzinfo=UTC), call=print)
    await service.append_event(session, event(ok=2, call=print, pair=(1, 2)))
    state = (await loaded(service)).state
    assert state == {"at": "2026-01-01T00:00:00Z", "call": repr(print), "ok": 2, "pair": [1, 2]}


@pytest.mark.parametrize("value", [math.nan, math.inf])
async def test_a_value_that_no_storage_keeps_is_refused_and_nothing_is_written(
    value: float, service: StoredSessionService
) -> None:
    with pytest.raises(InvalidStateError):
        await created(service, n=value, app__n=1)
    session = await created(service, n=1)
    with pytest.raises(InvalidStateError):
        await service.append_event(session, event(n=value, app__n=1))
    with pytest.raises(InvalidStateError):
        await service.append_event(session, event(app__n=value))
    assert (await loaded(service)).state == {"n": 1}
    await service.append_event(session, event("goes on"))
    assert texts(await loaded(service)) == ["goes on"]


async def test_large_events_are_kept(service: StoredSessionService) -> None:
    session = await created(service)
    image = bytes(range(256)) * 16_384
    part = types.Part.from_bytes(data=image, mime_type="image/png")
    await service.append_event(session, Event(author="user", content=types.Content(role="user", parts=[part])))
    assert await loaded(service) == session


async def test_events_since_a_time_are_those_in_the_order_of_appends(service: StoredSessionService) -> None:
    session = await created(service)
    for at in (5.0, 1.0, 7.0, 3.0):
        await service.append_event(session, event(str(at)).model_copy(update={"timestamp": at}))
    config = GetSessionConfig(after_timestamp=3.0)
    found = await service.get_session(app_name=APP, user_id=USER, session_id="s", config=config)
    assert texts(found) == ["5.0", "7.0", "3.0"]
    config = GetSessionConfig(after_timestamp=3.0, num_recent_events=3)
    found = await service.get_session(app_name=APP, user_id=USER, session_id="s", config=config)
    assert texts(found) == ["7.0", "3.0"]


async def test_changing_a_listed_session_changes_no_other(service: StoredSessionService) -> None:
    for name in "ab":
        await created(service, name, app__deep={"list": []})
    first, second = (await service.list_sessions(app_name=APP)).sessions
    first.state["app:deep"]["list"].append(1)
    assert second.state["app:deep"] == {"list": []}


async def test_an_expired_session_is_gone_and_its_apps_and_users_states_stay(
    service: StoredSessionService, clock: ManualClock
) -> None:
    session = await created(service, n=1, app__n=2, user__n=3)
    clock.advance(TTL - timedelta(minutes=1))
    assert await loaded(service) == session
    clock.advance(TTL * 1.1 + timedelta(minutes=1))
    assert await service.get_session(app_name=APP, user_id=USER, session_id="s") is None
    assert (await service.list_sessions(app_name=APP)).sessions == []
    with pytest.raises(SessionNotFoundError):
        await service.append_event(session, event())
    clock.advance(timedelta(days=1000))
    assert (await created(service)).state == {"app:n": 2, "user:n": 3}


async def test_a_user_is_erased_in_one_app_or_in_all(service: StoredSessionService, storage: StorageProvider) -> None:
    for app in ("app1", "app2"):
        for user in ("u", "v"):
            state = {"user:name": user, "app:n": 1}
            await service.create_session(app_name=app, user_id=user, session_id="s", state=state)
    await service.delete_user(app_name="app1", user_id="u")
    assert [it.user_id for it in (await service.list_sessions(app_name="app1")).sessions] == ["v"]
    assert await service.get_user_state(app_name="app1", user_id="u") == {}
    assert await service.get_user_state(app_name="app2", user_id="u") == {"name": "u"}
    await service.delete_user(user_id="u")
    for app in ("app1", "app2"):
        (left,) = (await service.list_sessions(app_name=app)).sessions
        assert left.state == {"user:name": "v", "app:n": 1}
    kept = SessionManager[dict[str, Any]](lambda _: {}, storage, "google-adk-state")
    assert [it.session_id for it in (await kept.list_sessions()).sessions] == ["app1", "app1/v", "app2", "app2/v"]


async def test_deleting_is_of_one_users_session_and_an_absent_one_is_no_error(service: StoredSessionService) -> None:
    for user in ("u1", "u2"):
        await service.create_session(app_name=APP, user_id=user, session_id="s")
    await service.delete_session(app_name=APP, user_id="u1", session_id="s")
    await service.delete_session(app_name=APP, user_id="u1", session_id="s")
    assert [it.user_id for it in (await service.list_sessions(app_name=APP)).sessions] == ["u2"]


async def test_closing_the_service_leaves_the_storage_open(service: StoredSessionService) -> None:
    async with service as same:
        session = await created(same)
    await service.close()
    assert await loaded(service) == session


async def test_an_outage_is_no_absent_session(url_of_kind: Callable[[str], str]) -> None:
    async with open_storage("postgresql://nobody@127.0.0.1:1/none", pool_timeout=0.2) as storage:
        service = StoredSessionService(storage)
        names: dict[str, Any] = {"app_name": APP, "user_id": USER}
        for call in (
            service.get_session(**names, session_id="s"),
            service.create_session(**names, session_id="s"),
            service.list_sessions(**names),
            service.delete_session(**names, session_id="s"),
            service.get_user_state(**names),
        ):
            with pytest.raises(StorageUnavailableError):
                await call
    memory = StoredSessionService(await open_storage("memory://").__aenter__())
    session = await created(memory)
    async with open_storage("postgresql://nobody@127.0.0.1:1/none", pool_timeout=0.2) as storage:
        with pytest.raises(StorageUnavailableError):
            await StoredSessionService(storage).append_event(session, event())
    assert session == await loaded(memory)

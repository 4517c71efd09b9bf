"""Programs of calls that run on this service and on those of ADK, step by step, and must give the same answers."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Final

from google.adk.errors._stale_session_error import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events import Event, EventActions
from google.adk.platform import time as platform_time
from google.adk.sessions import BaseSessionService, Session
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

_TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_VALUES: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=5,
)
_KEYS: Final = st.builds(
    str.__add__, st.sampled_from(["", "app:", "user:", "temp:", "app", "other:"]), st.sampled_from(["a", "b"]) | _TEXTS
)
STATES: Final = st.dictionaries(_KEYS, _VALUES, max_size=4)
_APPS: Final = st.sampled_from(["app", "app/x", "é~%"])
_USERS: Final = st.sampled_from(["user", "user/x", "x" * 100])
_IDS: Final = st.sampled_from(["s1", "s2", "a/b", "n\x00ul", "i" * 120])
_PARTS: Final = st.lists(
    st.builds(lambda text: types.Part(text=text), _TEXTS)
    | st.builds(lambda data: types.Part.from_bytes(data=data, mime_type="image/png"), st.binary(max_size=8))
    | st.builds(lambda args: types.Part.from_function_call(name="f", args=args), st.dictionaries(_TEXTS, _VALUES)),
    max_size=2,
)
_EXPECTED: Final = (StaleSessionError, AlreadyExistsError, SessionNotFoundError)

_programs: Final = itertools.count()


class Programs(RuleBasedStateMachine):
    """One program. Its apps have names that no other program uses, so the services are the same for all programs.

    Args:
        mine: The service that is tested.
        memory: ADK's InMemorySessionService. It accepts events of stale sessions, so it is not asked to append those.
        database: ADK's DatabaseSessionService.
        runner: The event loop.
    """

    def __init__(
        self, mine: BaseSessionService, memory: BaseSessionService, database: BaseSessionService, runner: asyncio.Runner
    ) -> None:
        super().__init__()
        self._services = (mine, memory, database)
        self._runner = runner
        self._number = next(_programs)
        self._time = 1_700_000_000.25
        self._handles: list[tuple[Session, Session, Session]] = []

    @rule(app=_APPS, user=_USERS, session_id=_IDS, state=STATES)
    def create(self, app: str, user: str, session_id: str, state: dict[str, Any]) -> None:
        self._tick()
        names = {"app_name": self._app(app), "user_id": user, "session_id": session_id}
        self._load(lambda service: service.create_session(**names, state=dict(state)))

    @rule(app=_APPS, user=_USERS, session_id=_IDS)
    def get(self, app: str, user: str, session_id: str) -> None:
        names = {"app_name": self._app(app), "user_id": user, "session_id": session_id}
        self._load(lambda service: service.get_session(**names))  # type: ignore[arg-type]

    @rule(
        app=_APPS,
        user=_USERS,
        session_id=_IDS,
        count=st.none() | st.integers(0, 4),
        age=st.none() | st.integers(0, 30),
    )
    def get_some(self, app: str, user: str, session_id: str, count: int | None, age: int | None) -> None:
        after = None if age is None else self._time - age
        config = GetSessionConfig(num_recent_events=count, after_timestamp=after)
        names = {"app_name": self._app(app), "user_id": user, "session_id": session_id}
        self._load(lambda service: service.get_session(**names, config=config))

    @rule(app=_APPS, user=st.none() | _USERS)
    def list_all(self, app: str, user: str | None) -> None:
        self._ask(lambda service: service.list_sessions(app_name=self._app(app), user_id=user))

    @rule(app=_APPS, user=_USERS, session_id=_IDS)
    def delete(self, app: str, user: str, session_id: str) -> None:
        names = {"app_name": self._app(app), "user_id": user, "session_id": session_id}
        self._ask(lambda service: service.delete_session(**names))

    @rule(app=_APPS, user=_USERS)
    def user_state(self, app: str, user: str) -> None:
        self._ask(lambda service: service.get_user_state(app_name=self._app(app), user_id=user))

    @precondition(lambda self: self._handles)
    @rule(
        data=st.data(), delta=STATES, parts=_PARTS, partial=st.sampled_from([None, False, True]), copied=st.booleans()
    )
    def append(
        self, data: st.DataObject, delta: dict[str, Any], parts: list[types.Part], partial: bool | None, copied: bool
    ) -> None:
        # The newest handles more often: old ones are stale.
        at = data.draw(st.sampled_from([*range(len(self._handles)), *[len(self._handles) - 1] * 3]))
        self._tick()
        handles = self._handles[at]
        if copied:
            mine, memory, database = handles
            handles = mine.model_copy(deep=True), memory.model_copy(deep=True), database.model_copy(deep=True)
            self._handles.append(handles)
        event = Event(
            invocation_id="i",
            author="user",
            timestamp=self._time,
            partial=partial,
            content=types.Content(role="user", parts=parts),
            actions=EventActions(state_delta=delta),
        )
        events = [event.model_copy(deep=True) for _ in handles]
        append_to_mine, append_to_memory, append_to_database = (
            functools.partial(service.append_event, handle, event)
            for service, handle, event in zip(self._services, handles, events, strict=True)
        )
        told, wanted = self._answer(append_to_mine), self._answer(append_to_database)
        assert _seen(told) == _seen(wanted)
        if isinstance(wanted, str):
            # How much of a refused event a session object shows is not the same on ADK's services.
            self._handles.remove(handles)
            if wanted == "SessionNotFoundError":
                # ADK's store in memory only logs, in its older versions, that the session is gone.
                remembered = self._answer(append_to_memory)
                assert remembered == wanted or not isinstance(remembered, str)
        else:
            assert _seen(told) == _seen(self._answer(append_to_memory))
            self._compare(handles)

    @precondition(lambda self: self._handles)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        """The database's service fails in the database then; the other one in memory is the oracle."""
        mine, memory, _ = data.draw(st.sampled_from(self._handles))
        if not memory.events or [event.id for event in mine.events] != [event.id for event in memory.events]:
            return
        at = data.draw(st.integers(0, len(memory.events) - 1))
        ours, theirs = self._services[:2]
        event, other = mine.events[at].model_copy(deep=True), memory.events[at].model_copy(deep=True)
        told = self._answer(lambda: ours.append_event(mine, event))
        assert told == self._answer(lambda: theirs.append_event(memory, other))
        assert _seen(mine) == _seen(memory)

    def _app(self, name: str) -> str:
        return f"{name}{self._number}"

    def _tick(self) -> None:
        self._time += 10
        now = self._time
        platform_time.set_time_provider(lambda: now)

    def _load(self, call: Callable[[BaseSessionService], Awaitable[Session | None]]) -> None:
        found = self._ask(call)
        if isinstance(found[0], Session):
            self._handles.append(found)
            del self._handles[:-8]

    def _ask(self, call: Callable[[BaseSessionService], Awaitable[Any]]) -> tuple[Any, Any, Any]:
        mine, memory, database = (self._answer(functools.partial(call, service)) for service in self._services)
        found = mine, memory, database
        self._compare(found)
        return found

    def _answer(self, call: Callable[[], Awaitable[Any]]) -> Any:
        async def answer() -> Any:
            platform_time.set_time_provider(lambda: self._time)
            try:
                return await call()
            except _EXPECTED as error:
                return type(error).__name__

        return self._runner.run(answer())

    def _compare(self, found: tuple[Any, ...]) -> None:
        mine, memory, database = map(_seen, found)
        assert mine == memory == database


def _seen(answer: Any) -> Any:
    """What a caller sees of an answer."""
    return answer.model_dump() if hasattr(answer, "model_dump") else answer

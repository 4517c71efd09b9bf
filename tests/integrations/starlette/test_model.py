"""Random requests of one browser that overlap, compared with what a plain dict per session would come to."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sessionstore import MemoryStorageProvider
from sessionstore.integrations.starlette import Session
from sessionstore.testing.support.scale import scaled
from tests.integrations.starlette.browsing import application, browser, rows

State: TypeAlias = dict[str, Any]
Action: TypeAlias = tuple[Any, ...]

_KEYS = st.sampled_from("abc")
_ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), _KEYS, st.integers(0, 2)),
        st.tuples(st.just("nest"), _KEYS),
        st.tuples(st.just("drop"), _KEYS),
        st.tuples(st.just("clear")),
        st.tuples(st.just("regenerate")),
    ),
    min_size=1,
    max_size=3,
)
# A step begins a request that does these things, and ends one of those under way, or none.
_STEPS = st.lists(st.tuples(_ACTIONS, st.none() | st.integers(0, 3) | st.integers(0, 3)), min_size=2, max_size=9)
_SOONER_OR_LATER = 3
"""So many requests are under way at once; one more ends the first."""


def _act(session: State, actions: list[Action]) -> None:
    """Does what the actions say to any dict."""
    for name, *arguments in actions:
        if name == "set":
            session[arguments[0]] = arguments[1]
        elif name == "nest" and isinstance(session.get(arguments[0]), list):
            session[arguments[0]].append(1)
        elif name == "nest":
            session[arguments[0]] = []
        elif name == "drop":
            session.pop(arguments[0], None)
        elif name == "clear":
            session.clear()
        elif isinstance(session, Session):
            session.regenerate()


@dataclass
class Asked:
    """A request that has begun: as the server answers it, and as the model sees it."""

    actions: list[Action]
    row: State | None
    loaded: State
    had_cookie: bool
    going: asyncio.Task[httpx.Response]
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    answer: asyncio.Event = field(default_factory=asyncio.Event)


class Model:
    """The sessions as plain dicts. A session is known by its dict."""

    def __init__(self) -> None:
        self.alive: list[State] = []
        self.cookie: State | None = None

    def is_alive(self, row: State | None) -> bool:
        return any(one is row for one in self.alive)

    def end(self, row: State | None) -> None:
        self.alive = [one for one in self.alive if one is not row]

    def finish(self, asked: Asked) -> None:
        """What a request comes to when its response begins."""
        row, session = asked.row, copy.deepcopy(asked.loaded)
        _act(session, asked.actions)
        names = [name for name, *_ in asked.actions]
        before = asked.loaded
        if "clear" in names:
            self.end(row)
            row, before = None, {}
            if asked.had_cookie:
                self.cookie = None
        changed = {key: value for key, value in session.items() if key not in before or before[key] != value}
        if row is None:
            if session:
                self._begin(session)
            return
        if not self.is_alive(row):
            return
        removed = before.keys() - session.keys()
        renewed = "regenerate" in names
        if not (changed or removed or renewed):
            return
        merged = {key: value for key, value in row.items() if key not in removed} | changed
        if renewed:
            self.end(row)
            self._begin(merged)
        else:
            row.clear()
            row.update(merged)
            self.cookie = row

    def _begin(self, state: State) -> None:
        self.alive.append(state)
        self.cookie = state


async def _run(steps: list[tuple[list[Action], int | None]]) -> None:
    storage, model = MemoryStorageProvider(), Model()
    under_way: list[Asked] = []
    beginning: list[Asked] = []

    async def handle(request: Request) -> Response:
        asked = beginning[-1]
        _act(request.session, asked.actions)
        asked.entered.set()
        await asked.answer.wait()
        return JSONResponse({})

    async def finish(asked: Asked) -> None:
        under_way.remove(asked)
        asked.answer.set()
        assert (await asked.going).status_code == 200
        model.finish(asked)
        found = await rows(storage)
        assert sorted(map(repr, map(_ordered, found))) == sorted(map(repr, map(_ordered, model.alive)))
        seen = (await client.get("/show")).json()
        expected = model.cookie if model.is_alive(model.cookie) else {}
        assert seen == expected

    async with browser(application(storage, {"handle": handle})) as client:
        for actions, ends in steps:
            row = model.cookie if model.is_alive(model.cookie) else None
            going = asyncio.create_task(client.get("/handle"))
            asked = Asked(actions, row, copy.deepcopy(row or {}), "session" in client.cookies, going)
            beginning.append(asked)
            await asked.entered.wait()
            under_way.append(asked)
            if ends is not None or len(under_way) > _SOONER_OR_LATER:
                await finish(under_way[(ends or 0) % len(under_way)])
        for asked in [*under_way]:
            await finish(asked)


def _ordered(state: State | None) -> State:
    return dict(sorted((state or {}).items()))


@settings(max_examples=scaled(100), deadline=None)
@given(_STEPS)
def test_overlapping_requests_have_the_results_of_plain_dicts(steps: list[tuple[list[Action], int | None]]) -> None:
    asyncio.run(_run(steps))

"""Random programs: calls from several managers on several storages are begun, cancelled and waited for at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from functools import partial
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from sessionstore import SessionResult

from ...support.documents import Chat
from .changes import CHANGES, Change, append, poison
from .history import Call, End
from .running import ALL, RunningCalls

STORAGES: Final = 2
_LIFE: Final = timedelta(minutes=34)
"""A session without an access for this long has expired."""

desks = st.integers(0, STORAGES * 2 - 1)
sessions = st.sampled_from(["a", "a", "a", "b", "c"])
"""Most calls are on one session, so that they meet there."""
_some = st.integers(0, 1 << 16)


class ConcurrentCalls(RunningCalls):
    """Makes calls at any time, and checks their history whenever all calls have ended."""

    @initialize(seed=_some)
    def open_desks(self, seed: int) -> None:
        self.open(seed)
        self.create(0, "a")

    @rule(desk=desks, session=sessions)
    def create(self, desk: int, session: str) -> None:
        def make(call: Call) -> Awaitable[SessionResult[Chat]]:
            return self.desks[desk].create_session(session)

        self.begin("create", desk, session, make)

    @rule(desk=desks, sessions=st.lists(sessions, min_size=1, max_size=5), touch=st.booleans())
    def get(self, desk: int, sessions: list[str], touch: bool) -> None:
        for name in sessions:
            self.begin("get", desk, name, partial(self._read, desk, name, touch))

    @rule(desk=desks, session=sessions)
    def delete(self, desk: int, session: str) -> None:
        self.begin("delete", desk, session, lambda _: self.desks[desk].delete_session(session))

    @rule(desk=desks, session=sessions, times=st.integers(1, 4))
    def append(self, desk: int, session: str, times: int) -> None:
        for _ in range(times):
            self._update(desk, session, append)

    @rule(session=sessions, calls=st.lists(st.tuples(desks, CHANGES), min_size=2, max_size=8))
    def update_from_several_desks(self, session: str, calls: list[tuple[int, Change]]) -> None:
        for desk, change in calls:
            self._update(desk, session, change)

    @rule(desk=desks, calls=st.lists(st.tuples(sessions, CHANGES), min_size=2, max_size=8))
    def update_several_sessions(self, desk: int, calls: list[tuple[str, Change]]) -> None:
        for session, change in calls:
            self._update(desk, session, change)

    @rule(
        desk=desks,
        session=sessions,
        before=st.integers(0, 2),
        times=st.integers(1, 3),
        ahead=st.integers(0, 3),
        age=st.integers(0, 3),
    )
    def append_at_a_version(self, desk: int, session: str, before: int, times: int, ahead: int, age: int) -> None:
        """Appends at a version that was seen, or at a later one that the session may reach while the calls wait."""
        known = self._versions.get(session, [])
        for _ in range(before):
            self._update(desk, session, append)
        for _ in range(times if known else 0):
            self._update(desk, session, append, known[-1 - min(age, len(known) - 1)] + ahead)

    @rule(desk=desks, session=sessions, key=st.sampled_from(["k1", "k2"]), times=st.integers(1, 2))
    def append_once(self, desk: int, session: str, key: str, times: int) -> None:
        for _ in range(times):
            self._update(desk, session, append, key=key)

    @rule(desk=desks, session=sessions, times=st.integers(1, 3))
    def append_items(self, desk: int, session: str, times: int) -> None:
        """Appends items and leaves the state alone."""
        for _ in range(times):
            self.begin("append", desk, session, lambda call: self.desks[desk].append_items(session, [[call.token]]))

    @rule(picks=st.lists(st.integers(0, 9), min_size=1, max_size=4))
    def cancel(self, picks: list[int]) -> None:
        """Cancels some of the newest calls. Older calls have probably ended."""
        for pick in picks:
            if self._running:
                self._running[-1 - pick % len(self._running)][1].cancel()

    @rule(storage=st.integers(0, STORAGES - 1), times=st.integers(1, 3))
    def break_down(self, storage: int, times: int) -> None:
        self.disturb(self._storages[storage], times)

    @rule(writes=st.integers(1, 3))
    def be_late(self, writes: int) -> None:
        """Makes the next writes land late, or never."""
        self._under_way.late = writes

    @rule(writes=st.integers(1, 2), session=sessions, calls=st.lists(st.tuples(desks, CHANGES), min_size=1, max_size=4))
    def update_late(self, writes: int, session: str, calls: list[tuple[int, Change]]) -> None:
        self._under_way.late = writes
        self.update_from_several_desks(session, calls)

    @rule()
    def land(self) -> None:
        self._runner.run(self._under_way.land_all())

    @rule()
    def expire(self) -> None:
        """Moves the clock until all sessions have expired."""
        now = next(self._now)
        self.clock.advance(_LIFE)
        for history in self.histories.values():
            call = Call("expire", None, token=next(self._tokens), begun=now, ended=next(self._now), gone=True)
            call.end = End.UNKNOWN
            history.calls.append(call)

    @invariant()
    def let_begin(self) -> None:
        self._runner.run(asyncio.sleep(0))

    @rule(turns=st.integers(1, 8))
    def let_turn(self, turns: int) -> None:
        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self._runner.run(turn())

    @rule()
    def settle(self) -> None:
        """Waits for all calls, and checks their history."""
        self._runner.run(self._settle())

    def _update(
        self, desk: int, session: str, change: Change, expected: int | None = None, key: str | None = None
    ) -> None:
        def make(call: Call) -> Awaitable[SessionResult[Chat]]:
            def changed(state: Chat) -> Chat:
                call.ran = next(self._now)
                return change(state, call.token)

            return self.desks[desk].update_session(
                session, changed, append=[call.token], expected_version=expected, idempotency_key=key
            )

        self.begin("update", desk, session, make, expected, key=key, poisonous=change is poison)

    def _read(self, desk: int, session: str, touch: bool, _: Call) -> Awaitable[SessionResult[Chat]]:
        return self.desks[desk].get_session(session, touch=touch, last_items=ALL)

"""The programs: calls that are begun at any time, from several desks on several storages, cancelled, and waited for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sessionstore import (
    InvalidStateError,
    SessionConflictError,
    SessionManager,
    SessionNotFoundError,
    SessionResult,
    StorageError,
    StorageProvider,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
)
from sessionstore.ids import Version

from ...clock import ManualClock
from ...support.documents import Chat
from .history import Call, End, History, Seen
from .items import check_items
from .under_way import UnderWay

Change: TypeAlias = Callable[[Chat, int], Chat]
"""Makes of a state and a token the new state."""

STORAGES: Final = 2
POISON: Final = "poison"
"""Storages may refuse states with this in them."""
_PATIENCE: Final = 60
_ALL: Final = 100_000
_LIFE: Final = timedelta(minutes=34)
"""After which every session has expired that nobody accessed meanwhile."""

desks = st.integers(0, STORAGES * 2 - 1)
sessions = st.sampled_from(["a", "a", "a", "b", "c"])
"""Most calls are on one session, where they meet."""
_some = st.integers(0, 1 << 16)


class _Told(Exception):
    """What a function raises: the state that it was given."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(seen)
        self.seen = seen


def _append(state: Chat, token: int) -> Chat:
    state["log"].append(token)
    return state


def _append_or_raise(state: Chat, token: int, *, rest: int) -> Chat:
    if len(state["log"]) % 2 == rest:
        seen = Seen.of(state, None)
        state["log"].append(token)  # of which nothing may be left
        raise _Told(seen)
    return _append(state, token)


def _spoil(state: Chat, token: int) -> Chat:
    return {**_append(state, token), "spoilt": float("nan")}


def _poison(state: Chat, token: int) -> Chat:
    return {**_append(state, token), "spoilt": POISON}


_raising = (partial(_append_or_raise, rest=0), partial(_append_or_raise, rest=1))
_changes = st.sampled_from([_append, _append, *_raising, *_raising, _spoil, _poison])


class ConcurrentCalls(RuleBasedStateMachine):
    """Makes calls and, whenever all are over, has their history checked.

    Two managers are on each storage, and each storage is, to the others, another process.

    Args:
        namespace: Where the sessions are; no other example may use it.
        runner: Runs the calls.
        clock: The time of the storages.
    """

    def __init__(self, namespace: str, runner: asyncio.Runner, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock
        self._namespace = namespace
        self._runner = runner
        self.histories: dict[str, History] = {}
        self._running: list[tuple[Call, asyncio.Task[None]]] = []
        self._versions: dict[str, list[int]] = {}
        self._writes: dict[tuple[str, int], tuple[str, tuple[int, ...]]] = {}
        self._now = count()
        self._tokens = count(1)

    @initialize(seed=_some)
    def open_desks(self, seed: int) -> None:
        self._under_way = UnderWay(random.Random(seed))  # noqa: S311  # not to be secret, but the same each time
        self._storages = self.choose_storages(seed, self._under_way)
        self.desks = [
            SessionManager(self._born, storage, self._namespace) for storage in self._storages for _ in range(2)
        ]
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
            self._update(desk, session, _append)

    @rule(session=sessions, calls=st.lists(st.tuples(desks, _changes), min_size=2, max_size=8))
    def update_from_several_desks(self, session: str, calls: list[tuple[int, Change]]) -> None:
        for desk, change in calls:
            self._update(desk, session, change)

    @rule(desk=desks, calls=st.lists(st.tuples(sessions, _changes), min_size=2, max_size=8))
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
        """At one that was told, or that may come to be while they wait, behind others or not."""
        known = self._versions.get(session, [])
        for _ in range(before):
            self._update(desk, session, _append)
        for _ in range(times if known else 0):
            self._update(desk, session, _append, known[-1 - min(age, len(known) - 1)] + ahead)

    @rule(desk=desks, session=sessions, key=st.sampled_from(["k1", "k2"]), times=st.integers(1, 2))
    def append_once(self, desk: int, session: str, key: str, times: int) -> None:
        for _ in range(times):
            self._update(desk, session, _append, key=key)

    @rule(desk=desks, session=sessions, times=st.integers(1, 3))
    def append_items(self, desk: int, session: str, times: int) -> None:
        """Without the state."""
        for _ in range(times):
            self.begin("append", desk, session, lambda call: self.desks[desk].append_items(session, [[call.token]]))

    @rule(picks=st.lists(st.integers(0, 9), min_size=1, max_size=4))
    def cancel(self, picks: list[int]) -> None:
        """Some of the last calls; the older ones are over, or nearly."""
        for pick in picks:
            if self._running:
                self._running[-1 - pick % len(self._running)][1].cancel()

    @rule(storage=st.integers(0, STORAGES - 1), times=st.integers(1, 3))
    def break_down(self, storage: int, times: int) -> None:
        self.disturb(self._storages[storage], times)

    @rule(writes=st.integers(1, 3))
    def be_late(self, writes: int) -> None:
        """The next writes land late, or never."""
        self._under_way.late = writes

    @rule(
        writes=st.integers(1, 2), session=sessions, calls=st.lists(st.tuples(desks, _changes), min_size=1, max_size=4)
    )
    def update_late(self, writes: int, session: str, calls: list[tuple[int, Change]]) -> None:
        self._under_way.late = writes
        self.update_from_several_desks(session, calls)

    @rule()
    def land(self) -> None:
        self._runner.run(self._under_way.land_all())

    @rule()
    def expire(self) -> None:
        """All sessions that there are."""
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
        """Waits for all calls, and checks."""
        self._runner.run(self._settle())

    def choose_storages(self, seed: int, under_way: UnderWay) -> Sequence[StorageProvider]:
        """Storages on the same sessions.

        Args:
            seed: Decides whatever is left open.
            under_way: Where their late writes are.
        """
        raise NotImplementedError

    def disturb(self, storage: StorageProvider, times: int) -> None:
        """Has the next calls of a storage fail, or some of them."""

    def repair(self, storage: StorageProvider) -> None:
        """Has the next calls of a storage work again."""

    def teardown(self) -> None:
        try:
            self._runner.run(self._settle())
        finally:
            # Where the check failed, some may be left.
            for _, task in self._running:
                task.cancel()
            self._runner.run(asyncio.sleep(0))

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

        self.begin("update", desk, session, make, expected, key=key, poisonous=change is _poison)

    def _read(self, desk: int, session: str, touch: bool, _: Call) -> Awaitable[SessionResult[Chat]]:
        return self.desks[desk].get_session(session, touch=touch, last_items=_ALL)

    def begin(
        self,
        kind: str,
        desk: int,
        session: str,
        make: Callable[[Call], Awaitable[SessionResult[Any]]],
        expected: int | None = None,
        *,
        key: str | None = None,
        poisonous: bool = False,
    ) -> None:
        queue = None if self._storages[desk // 2].batching is None else desk // 2
        call = Call(kind, queue, token=next(self._tokens), key=key, expected=expected, poisonous=poisonous)
        self.histories.setdefault(session, History()).calls.append(call)

        async def run() -> None:
            call.begun = next(self._now)
            try:
                self.note(session, call, await make(call))
            except _Told as told:
                call.end, call.seen = End.REFUSED, told.seen
            except UpdateOutcomeUnknownError:
                call.end = End.UNKNOWN
            except StorageError as error:
                call.end = End.REFUSED
                call.refused = type(error) is not StorageUnavailableError
            finally:
                call.ended = next(self._now)

        self._running.append((call, self._runner.get_loop().create_task(run())))

    def note(self, session: str, call: Call, result: SessionResult[Any]) -> None:
        """Notes what a call came to."""
        call.end = End.DONE if result.success else End.REFUSED
        call.gone = call.kind == "delete" or result.created
        call.wrote = result.success and (result.applied or result.created or result.data is True)
        call.items = result.items
        if isinstance(result.error, SessionNotFoundError):
            call.end = End.ABSENT
        elif call.kind == "append":
            assert result.error is None
            assert [item.data for item in result.items] == [[call.token]]
        elif isinstance(result.error, SessionConflictError):
            call.actual = result.error.actual
            assert result.error.expected == call.expected
        elif result.error is not None:
            assert type(result.error) is InvalidStateError
        elif call.kind != "delete":
            assert isinstance(result.version, Version)
            state = result.unwrap()
            call.seen = Seen.of(state, result.version)
            write = (result.version.write, call.seen.log)
            assert self._writes.setdefault((session, result.version), write) == write, "one version of two writes"
            self._versions.setdefault(session, []).append(result.version)
            state["log"].clear()  # it is this caller's own

    async def _settle(self) -> None:
        tasks = [task for _, task in self._running]
        async with asyncio.timeout(_PATIENCE):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for (call, task), end in zip(self._running, ends, strict=True):
            if isinstance(end, asyncio.CancelledError):
                assert task.cancelling(), f"{call} was cancelled, but not by its caller"
                call.end = End.CANCELLED
            elif end is not None:
                raise end
        self._running.clear()
        self._under_way.late = 0
        self.repair(self._storages[-1])
        await self.check()
        await self._under_way.land_all()
        await self.check()

    async def check(self) -> None:
        """Raises AssertionError if what calls came to does not fit together, or does not fit what is there now."""
        for session, history in self.histories.items():
            found = await self.desks[-1].get_session(session, touch=False, last_items=_ALL)
            history.check(Seen.of(found.unwrap(), found.version) if found.success else None)
            check_items(history.calls, found.items)

    def _born(self, session_id: str) -> Chat:
        return {"born": next(self._tokens), "log": []}

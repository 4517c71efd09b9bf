"""Calls that run at once: begun, waited for, and compared with calls made one at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any, Final

from hypothesis.stateful import RuleBasedStateMachine

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
from .changes import Told
from .history import Call, End, History, Seen
from .items import check_items
from .under_way import UnderWay

ALL: Final = 100_000
_PATIENCE: Final = 60


class RunningCalls(RuleBasedStateMachine):
    """Runs the calls of one example, and notes the outcome of each.

    Each storage has two managers. To the other storages, a storage is like another process.

    Args:
        namespace: The namespace of the sessions. No other example may use it.
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

    def open(self, seed: int) -> None:
        """Opens the storages, and two managers on each."""
        self._under_way = UnderWay(random.Random(seed))  # noqa: S311  # not to be secret, but the same each time
        self._storages = self.choose_storages(seed, self._under_way)
        self.desks = [
            SessionManager(self._born, storage, self._namespace) for storage in self._storages for _ in range(2)
        ]

    def choose_storages(self, seed: int, under_way: UnderWay) -> Sequence[StorageProvider]:
        """Returns storages on the same sessions.

        Args:
            seed: The seed of all random choices.
            under_way: Takes the late writes of the storages.
        """
        raise NotImplementedError

    def disturb(self, storage: StorageProvider, times: int) -> None:
        """Makes some or all of the next calls of a storage fail."""

    def repair(self, storage: StorageProvider) -> None:
        """Lets the next calls of a storage work again."""

    def teardown(self) -> None:
        try:
            self._runner.run(self._settle())
        finally:
            # If the check failed, some calls may still run.
            for _, task in self._running:
                task.cancel()
            self._runner.run(asyncio.sleep(0))

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
            except Told as told:
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
        """Notes the outcome of a call."""
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
            assert self._writes.setdefault((session, result.version), write) == write, (
                "two writes made the same version"
            )
            self._versions.setdefault(session, []).append(result.version)
            state["log"].clear()  # the copy is this caller's own, so this changes no other

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
        """Raises AssertionError if the results contradict each other or the sessions that are stored now."""
        for session, history in self.histories.items():
            found = await self.desks[-1].get_session(session, touch=False, last_items=ALL)
            history.check(Seen.of(found.unwrap(), found.version) if found.success else None)
            check_items(history.calls, found.items)

    def _born(self, session_id: str) -> Chat:
        return {"born": next(self._tokens), "log": []}

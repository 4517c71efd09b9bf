"""Writers that update shared sessions without a pause, and keep a log of what they were told."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic
from typing import Any, Self

from sessionstore import (
    SessionManager,
    SessionResult,
    SqlStorageProvider,
    StorageProvider,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
    open_storage,
)
from tests.support.opening import in_use

from .tally import Found, Log, Row, State, Way, items_of, leave_mark, new_state, reckon

_PATIENCE = 60.0
_REFUSED_PAUSE = 0.02


def sessions_of(storage: StorageProvider) -> SessionManager[State]:
    return SessionManager(new_state, storage, namespace="faults", ttl=None)


async def write(
    manager: SessionManager[State],
    session: str,
    writer: str,
    number: int,
    *,
    also: Callable[[State], None] | None = None,
    timeout: timedelta | None = None,  # noqa: ASYNC109  # the option of the call that is tried
) -> SessionResult[Any]:
    """A writer's call, in the way of its number: it changes the state, appends items, or does both at once.

    Args:
        manager: Where the session is.
        session: The session.
        writer: Who writes.
        number: Which of the writer's calls this is.
        also: What else changes the state.
        timeout: How long to wait for the answer; None: for as long as it takes.
    """

    def mark(state: State) -> None:
        leave_mark(state, writer, number)
        if also is not None:
            also(state)

    way = Way.of(number)
    if way is Way.ITEMS:
        return await manager.append_items(session, items_of(writer, number), timeout=timeout)
    items = items_of(writer, number) if way is Way.BOTH else []
    return await manager.update_session(session, mark, append=items, timeout=timeout)


async def found(url: str, first_versions: dict[str, int]) -> dict[str, Found]:
    """The sessions as they are, seen by somebody new; one that is not there is not among them."""
    there: dict[str, Found] = {}
    async with open_storage(url) as storage:
        for session, first in first_versions.items():
            result = await sessions_of(storage).get_session(session, touch=False)
            if result.success:
                items = await _items(storage, session)
                there[session] = Found(result.unwrap(), (result.version or 0) - first, items)
    return there


async def _items(storage: StorageProvider, session: str) -> list[tuple[int, Any]]:
    items: list[tuple[int, Any]] = []
    while True:
        page = await sessions_of(storage).get_items(
            session, after=items[-1][0] if items else None, limit=1000, touch=False
        )
        items += [(item.position, item.data) for item in page.items]
        if not page.items:
            return items


class Writers:
    """So many tasks, on one storage, from entering to leaving.

    Args:
        storage: Where they write.
        writers: How many they are.
        sessions: How many sessions they share.
        timeout: How long each waits for an answer; None: for as long as it takes.
    """

    def __init__(
        self, storage: StorageProvider, *, writers: int = 16, sessions: int = 4, timeout: timedelta | None = None
    ) -> None:
        self.log = Log()
        self.slowest = 0.0
        self._storage = storage
        self._manager = sessions_of(storage)
        self._timeout = timeout
        self._names = [f"w{n}" for n in range(writers)]
        self._versions = dict.fromkeys((f"s{n}" for n in range(sessions)), 0)
        self._stopping = False
        self._waiting: set[str] = set()
        self._round = 0
        self._nobody_waits = asyncio.Event()
        self._may_go = asyncio.Event()
        self._may_go.set()
        self._gave_up = asyncio.Event()
        self._calling: set[asyncio.Task[None]] = set()
        self._busy = 0
        self._nobody_busy = asyncio.Event()

    async def __aenter__(self) -> Self:
        for session in self._versions:
            created = await self._manager.create_session(session)
            created.unwrap()
            self._versions[session] = created.version or 0
        self._tasks = [asyncio.create_task(self._write(name)) for name in self._names]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._stopping = True
        _, hanging = await asyncio.wait(self._tasks, timeout=_PATIENCE)
        for task in hanging:
            self.log.unexpected.append(f"a writer still waited {_PATIENCE:g} s after the last fault")
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._all_is_given_back()

    async def all_move_on(self) -> None:
        """Waits until an update of each was acknowledged that was begun after this call."""
        began = monotonic()
        self._round += 1
        self._waiting = set(self._names)
        self._nobody_waits.clear()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._nobody_waits.wait()
        except TimeoutError:
            told = ", ".join(self.log.unexpected[-3:])
            raise AssertionError(f"{sorted(self._waiting)} got nothing written in {_PATIENCE:g} s; {told}") from None
        self.slowest = max(self.slowest, monotonic() - began)

    async def go_on(self) -> None:
        """all_move_on(), and then for a while, so that the next fault comes when everything is warm, or is not."""
        for _ in range(random.randint(1, 3)):  # noqa: S311
            await self.all_move_on()

    async def someone_gives_up(self) -> None:
        """Waits until an update ends without an acknowledgement."""
        self._gave_up.clear()
        async with asyncio.timeout(_PATIENCE):
            await self._gave_up.wait()

    def cancel_calls(self) -> None:
        """Cancels the calls of half of those that have one under way, as a framework does whose client left."""
        for call in random.sample([*self._calling], (len(self._calling) + 1) // 2):
            call.cancel()

    @asynccontextmanager
    async def pause(self) -> AsyncIterator[None]:
        """Nobody writes meanwhile."""
        self._may_go.clear()
        async with asyncio.timeout(_PATIENCE):
            await self._nobody_busy.wait()
        try:
            yield
        finally:
            self._may_go.set()

    async def row(self, url: str, fault: str, times: int) -> Row:
        """What came of it, once they have stopped."""
        return reckon(fault, times, self.log, await found(url, self._versions), slowest=self.slowest)

    async def _all_is_given_back(self) -> None:
        """No connection is in use any more. What was cancelled may take some seconds to end."""
        assert isinstance(self._storage, SqlStorageProvider)
        end = monotonic() + _PATIENCE
        while (held := in_use(self._storage)) and monotonic() < end:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(_REFUSED_PAUSE)
        if held:
            self.log.unexpected.append(f"{held} connections were not given back")

    async def _write(self, name: str) -> None:
        chance = random.Random(name)  # noqa: S311
        numbers: Counter[str] = Counter()
        sessions = list(self._versions)
        while not self._stopping:
            await self._may_go.wait()
            self._busy += 1
            self._nobody_busy.clear()
            session = chance.choice(sessions)
            numbers[session] += 1
            began_in = self._round
            if not await self._update(session, name, numbers[session]):
                self._gave_up.set()
            elif began_in == self._round:
                self._waiting.discard(name)
                if not self._waiting:
                    self._nobody_waits.set()
            self._busy -= 1
            if not self._busy:
                self._nobody_busy.set()

    async def _update(self, session: str, name: str, number: int) -> bool:
        task = asyncio.current_task()
        assert task is not None
        self._calling.add(task)
        try:
            result = await write(self._manager, session, name, number, timeout=self._timeout)
        except asyncio.CancelledError:
            task.uncancel()
            self.log.unknown[session, name].add(number)
        except UpdateOutcomeUnknownError:
            self.log.unknown[session, name].add(number)
        except StorageUnavailableError:
            self.log.refused[session, name].add(number)
            await asyncio.sleep(_REFUSED_PAUSE)  # as a service would, before it asks again
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
            self.log.unexpected.append(f"{type(error).__name__}: {error} (from {error.__cause__!r})")
            await asyncio.sleep(_REFUSED_PAUSE)
        else:
            if result.success:
                self.log.acknowledged[session, name].add(number)
                return True
            self.log.unexpected.append(repr(result.error))
        finally:
            self._calling.discard(task)
        return False

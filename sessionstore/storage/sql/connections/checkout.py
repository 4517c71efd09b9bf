"""Connections of an engine: taken for one operation, and given back whole or broken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from contextvars import Context
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any, Final
from weakref import WeakSet

from sqlalchemy import StaticPool
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.util import greenlet_spawn

from ....errors import SessionStoreError, StorageError
from ..drivers.driver import Driver
from ..drivers.fork_gate import GATE
from ..faults import Errors
from .bounded import Left, bounded, ended
from .lease import Lease, most_idle, of_pool, to_its_end, waits_for_nothing
from .limits import Limits
from .modes import Mode
from .opened_file import OpenedFile
from .pools import LoopPool, belongs_to, died_with_its_loop, idle, made_in
from .preparing import check_shared, prepare
from .readers import Readers, writes_now
from .scarce import Scarce

_LOG: Final = logging.getLogger("sessionstore.storage")

_GRACE_SECONDS: Final = 0.5
"""How long a call that is over waits for the server to say that its statement is."""
_PING_SECONDS: Final = 0.3
_SPARE_SECONDS: Final = 1.0
"""For how long a connection stays idle while the server has too few."""
_SUSPICIOUS_SECONDS: Final = 0.1
"""A statement that had no answer for so long makes the other connections suspicious."""

_ONLY_READS: Final = "sessionstore only reads"
"""The key in the `info` of a connection that says that an access was refused on it, because it only reads."""


class Connections:
    """Takes connections out of a pool, and sees to it that what runs on them commits by itself.

    The pool of SQLAlchemy wants a greenlet around it, and with that a check-out and a check-in take a quarter of the
    time that reading a session takes. So those of our own engine stay out between operations; those of others go back
    as they came.

    Args:
        pool: Says which pool.
        mode: Puts connections into AUTOCOMMIT.
        driver: Talks on them.
        owned: Whether engine.py made the engine.
        limits: For how long connections may be idle, and calls wait for one.
        file: The file of SQLite, if there is one.
    """

    def __init__(
        self, pool: LoopPool, mode: Mode, driver: Driver, limits: Limits, *, owned: bool, file: Path | None = None
    ) -> None:
        self._file = None if file is None else OpenedFile(file)
        self._returned = asyncio.Event()
        self._pool = pool
        self._mode = mode
        self._driver = driver
        self._limits = limits
        self._generation = 0
        self._suspected = -inf
        self._ending: set[asyncio.Task[bool]] = set()
        self._scarce = Scarce()
        self._readers = Readers()
        self._closing: asyncio.TimerHandle | None = None
        self._known: Errors = (*driver.errors, SQLAlchemyError, SessionStoreError, OSError, TimeoutError)
        self._owned = owned
        self._idle: list[Lease] = []
        self._most_idle = most_idle(pool()) if owned else 0
        self._closed = self._inherited = False
        self._in_use: set[Lease] = set()
        self._made: WeakSet[Any] = WeakSet()

    @property
    def idle(self) -> int:
        """How many lie here, to be used again."""
        return len(self._idle)

    async def take(self) -> Lease:
        """A connection: an idle one, or the pool's.

        Raises:
            ConfigurationError: The connection has a setting with which nothing would be committed, or read as it is.
            StorageError: The engine's own events, creator or pool failed.
        """
        if self._file is not None:
            await self._file.check(self._close_all)
        lease = await self._any()
        return await self._reader(lease) if self.only_reads(lease) else lease

    def only_reads(self, lease: Lease) -> bool:
        """Whether a connection is known to lead to a server that only reads."""
        return self._driver.only_reads(lease.driver) or _ONLY_READS in lease.pooled.info

    def keep_reader(self, lease: Lease, *, new: bool) -> bool:
        """Whether a connection on which an access was refused stays, because a new one would be no better.

        Args:
            lease: The connection.
            new: Whether it was made for this access, after another one was refused.
        """
        if new:
            self._readers.saw(lease.since)
        if self._readers.known:
            lease.pooled.info[_ONLY_READS] = True
            return True
        return False

    async def _any(self) -> Lease:
        while True:
            while self._idle:
                lease = self._idle.pop()
                now = monotonic()
                if lease.rested + self._limits.idle_seconds < now:
                    self._drop([lease])
                elif lease.rested > self._suspected or await self._answers(lease):
                    self._scarce.used += 1
                    self._in_use.add(lease)
                    return lease
            connected = await self._connected()
            if connected is not None:
                self._in_use.add(connected)
                return connected

    async def _reader(self, lease: Lease) -> Lease:
        """A connection that only reads; another one in its place where nobody knows whether new ones would too."""
        readers = self._readers
        readers.saw(lease.since)
        if readers.unknown:
            await self.discard(lease, lost=True)
            lease = await self._any()
            if self.only_reads(lease):
                readers.saw(lease.since)
        elif not (readers.known or readers.looking):
            readers.looking = True
            _ = self._beside(self._look(lease))
        return lease

    async def _look(self, lease: Lease) -> bool:
        """Replaces all connections where a new one leads to a server that writes."""
        try:
            writes = await writes_now(lease.pool, self._driver)
        except Exception as error:  # noqa: BLE001  # nobody waits for it, and the old ones are what there is
            _LOG.debug("no new connection beside those that only read", extra={"error": type(error).__name__})
            writes = False
        finally:
            self._readers.looking = False
        if writes:
            self._generation += 1
            self._replace_all(lease)
        else:
            self._readers.saw(monotonic())
        return writes

    async def give_back(self, lease: Lease) -> None:
        """Takes a connection back that is as good as it was."""
        lease.rested = monotonic()
        try:
            await self._put(lease)
        finally:
            self._in_use.discard(lease)
            self._returned.set()

    async def _put(self, lease: Lease) -> None:
        if self._closed and self._owned:
            self._scarce.used -= 1
            await to_its_end(self._discard([lease]))  # its pool is disposed of, or about to be
        elif lease.generation != self._generation:
            await self.discard(lease, lost=False)
        elif self._scarce.leaves_one():
            # To other processes, which may have none.
            self._scarce.used -= 1
            await to_its_end(self._discard([lease]))
        elif self._scarce.hand_over(lease):
            return
        else:
            self._scarce.used -= 1
            if len(self._idle) < self._most_idle:
                self._idle.append(lease)
                self._close_soon()
            elif waits_for_nothing(lease.pool):
                await self._return(lease)
            else:
                await to_its_end(self._return(lease))

    def _close_soon(self) -> None:
        """Closes connections that lie idle while the server has too few, so that other processes get them."""
        if self._closing is None and self._idle and self._scarce.lately:
            self._closing = asyncio.get_running_loop().call_later(_SPARE_SECONDS, self._close_spare, context=Context())

    def _close_spare(self) -> None:
        self._closing = None
        before = monotonic() - _SPARE_SECONDS
        spare = [lease for lease in self._idle if lease.rested < before]
        self._idle = [lease for lease in self._idle if lease.rested >= before]
        self._drop(spare)
        self._close_soon()

    async def discard(self, lease: Lease, *, lost: bool, others: bool = False) -> None:
        """Closes a connection of which nobody knows what is still to come on it.

        Args:
            lease: Which.
            lost: Whether it broke. Then those that lay idle meanwhile are as suspicious, and are replaced as well.
            others: Whether those that are in use now are no better, and are replaced once they are given back.
        """
        self._scarce.used -= 1
        # Once: those that fail together were made together.
        others = others and lease.generation == self._generation
        if others:
            self._generation += 1
        if lost or others:
            # There is no public name for it; SQLAlchemy itself does it where it sees a connection break.
            lease.pool._invalidate(lease.pooled, _checkin=False)  # noqa: SLF001
        # Also where the operation is cancelled meanwhile: closing says goodbye to the server, and may take its time.
        try:
            await to_its_end(self._discard([lease, *(self._forget_idle() if lost or others else ())]))
        finally:
            self._in_use.discard(lease)
            self._returned.set()
            self._scarce.free_place()

    async def part(self, lease: Lease, left: Left) -> bool:
        """Ends an operation that was left in the middle of a statement, and closes its connection.

        The server is asked to cancel the statement. Where that is not done soon, the place in the pool is given back
        all the same, and the rest goes on beside everything else.

        Returns:
            Whether the server answered. If not, the connections that are idle are as suspicious, and are replaced.
        """
        since = monotonic()
        if left.waited > _SUSPICIOUS_SECONDS:
            self._suspected = since
        task = self._end(lease, left)
        answered = False
        try:
            await asyncio.wait([task], timeout=_GRACE_SECONDS)
            answered = task.done() and not task.cancelled() and task.result()
        finally:
            self._give_up(lease)
            if answered and self._suspected == since:
                self._suspected = -inf
            elif not answered and left.waited > _SUSPICIOUS_SECONDS:
                self._replace_all(lease)
        return answered

    async def close(self) -> None:
        """Gives the idle ones back to the pool. Those in use are closed when they are given back, if they are ours."""
        self._closed = True
        self._most_idle = 0
        if self._closing is not None:
            self._closing.cancel()
        if ending := list(self._ending):
            for task in ending:
                task.cancel()
            await asyncio.wait(ending)
        for lease in self._forget_idle():
            await greenlet_spawn(lease.close)
        if self._pool.made:
            await greenlet_spawn(self._pool.last.dispose)
        await self._dispose_outdated()

    async def end(self) -> None:
        """Closes what cannot outlive the event loop, in the last moment that the loop gives."""
        await self.close()
        loop = asyncio.get_running_loop()
        for record in idle(self._pool.last):
            # Those of a service's pool that work in no other loop. They are made anew in the next one.
            if belongs_to(loop, record.driver_connection):
                await greenlet_spawn(record.close)

    def abandon(self) -> None:
        """Closes the connections of a loop that was closed, without the loop."""
        self._closed = True
        self._most_idle = 0
        for task in self._ending:
            # Or asyncio says of each that it was pending, when there is nobody to do anything about it.
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  # pyright: ignore[reportAttributeAccessIssue]
        leases = [*self._forget_idle(), *self._in_use]
        self._in_use.clear()
        for lease in leases:
            self._mode.sever(lease.driver)
            lease.let_go()
        if self._pool.made:
            for driver in list(self._made):
                self._mode.sever(driver)
            return
        for record in idle(self._pool.last):
            if died_with_its_loop(record.driver_connection):
                self._mode.sever(record.driver_connection)
                record.dbapi_connection = None  # so that the next one who takes it connects anew

    def leave(self, lease: Lease) -> None:
        """Forgets a connection in the middle of an operation whose loop or process is gone."""
        if lease in self._in_use and not self._inherited:
            self._give_up(lease)
            self._mode.sever(lease.driver)

    def disown(self) -> None:
        """Touches nothing from now on: this is a child, and all belongs to its parent."""
        self._inherited = True

    def _forget_idle(self) -> list[Lease]:
        forgotten, self._idle = self._idle, []
        return forgotten

    async def _answers(self, lease: Lease) -> bool:
        """Whether a suspicious connection answers at once; if not, all that are suspicious are replaced."""
        try:
            await bounded(self._driver.command(lease.driver, "SELECT 1"), _PING_SECONDS)
        except Left as left:
            _ = self._end(lease, left)
            lease.let_go()
            self._replace_all(lease)
            if left.cancelled is not None:
                raise left.cancelled from None
            return False
        except self._known:
            self._drop([lease])
            return False
        return True

    def _replace_all(self, lease: Lease) -> None:
        """Replaces all that are idle, also those in the pool, when they are asked for next."""
        self._drop(self._forget_idle())
        lease.pool._invalidate(lease.pooled, _checkin=False)  # noqa: SLF001

    def _end(self, lease: Lease, left: Left) -> asyncio.Task[bool]:
        return self._beside(_end(left.rest, lease.driver, self._driver))

    def _beside(self, running: Coroutine[Any, Any, bool]) -> asyncio.Task[bool]:
        """Runs something that no call waits for."""
        task = asyncio.get_running_loop().create_task(running, context=Context())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    def _give_up(self, lease: Lease) -> None:
        """Gives back the place in the pool of a connection that is going to be closed by somebody else."""
        lease.let_go()
        self._in_use.discard(lease)
        self._returned.set()
        self._scarce.used -= 1
        self._scarce.free_place()

    def _drop(self, leases: Iterable[Lease]) -> None:
        """Closes connections and gives back their places, without waiting for anything."""
        for lease in leases:
            lease.let_go()
            self._driver.drop(lease.driver)

    async def _connected(self) -> Lease | None:
        """A new connection, or where the server gives no more of them, the next one that is given back.

        None: one lies idle now, while the server refuses another one.
        """
        scarce = self._scarce
        while True:
            if not scarce.known():
                scarce.used += 1
                # Before it connects: what is replaced meanwhile may lead to the same server as this one.
                generation = self._generation
                try:
                    lease = await scarce.asked(self._connect, self._limits.connection_wait)
                except BaseException as error:
                    scarce.used -= 1
                    if not isinstance(error, (*self._driver.errors, OSError)):
                        scarce.free_place()
                        raise
                    if self._idle:
                        return None  # maybe the very one that the server misses
                    if scarce.used == 0:
                        scarce.free_place()
                        raise
                    scarce.note(error)
                else:
                    scarce.forget()
                    lease.generation = generation
                    return lease
            handed: Lease | None = await scarce.next(self._limits.connection_wait, self.give_back)
            if handed is not None:
                return handed

    async def _connect(self) -> Lease:
        try:
            return await self._take()
        except self._driver.errors as error:
            await self._driver.note_code(error)
            raise

    async def _take(self) -> Lease:
        await self._dispose_outdated()
        GATE.close_inherited()
        pool = self._pool()
        if isinstance(pool, StaticPool) and not self._owned:
            check_shared(pool, self._mode)
        try:
            lease = Lease(pool, await of_pool(pool))
            if not self._pool.made and not made_in(asyncio.get_running_loop(), lease.driver):
                await greenlet_spawn(lease.close)
                self._pool.leave()
                return await self._take()
        except self._known:
            raise
        except Exception as error:
            raise StorageError(
                "the engine could not make a connection: its pool, its creator, its events or its connect_args "
                f"(say row_factory or cursor_factory) raised {type(error).__name__}; the cause has the details"
            ) from error
        self._made.add(lease.driver)
        try:
            await prepare(lease, self._mode)
        except GeneratorExit:
            raise  # nothing can be waited for
        except BaseException:
            await to_its_end(self._discard([lease]))
            raise
        return lease

    async def _close_all(self) -> None:
        """Closes all connections, those in use when they are given back. Nobody takes one meanwhile."""
        while self._in_use:
            self._returned.clear()
            await self._returned.wait()
        await to_its_end(self._discard(self._forget_idle()))
        for record in idle(self._pool()):
            await greenlet_spawn(record.close)

    async def _dispose_outdated(self) -> None:
        while self._pool.outdated:
            await greenlet_spawn(self._pool.outdated.pop().dispose)

    async def _return(self, lease: Lease) -> None:
        # After dispose(), the service has another pool, and nobody would close what goes back into the first one.
        if lease.pool is not self._pool() or self._mode.in_transaction(lease.driver):
            await self._part_with(lease, lease.discard)
            return
        if lease.before is not None:
            try:
                await self._mode.leave(lease.driver, lease.before)
            except Exception:  # noqa: BLE001  # of a connection that broke; the operation on it is done all the same
                await self._part_with(lease, lease.discard)
                return
            except BaseException:
                await self._part_with(lease, lease.discard)
                raise
        await self._part_with(lease, lease.close)

    async def _discard(self, leases: Iterable[Lease]) -> None:
        for lease in leases:
            await self._part_with(lease, lease.discard)

    async def _part_with(self, lease: Lease, part: Callable[[], None]) -> None:
        """Closes a connection, or gives it back. What a service's own events raise then does not end the operation."""
        try:
            await greenlet_spawn(part)
        except Exception as error:  # noqa: BLE001  # an event may raise anything
            self._drop([lease])
            _LOG.warning(
                "an event of the engine's pool failed when a connection was given back, and the connection was closed",
                extra={"error": type(error).__name__},
            )


async def _end(rest: Coroutine[Any, Any, Any], connection: Any, driver: Driver) -> bool:
    # Whatever it raises, nobody waits for its outcome any more.
    with suppress(Exception, asyncio.CancelledError):
        await ended(rest)
    return await driver.end(connection)

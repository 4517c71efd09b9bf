"""Connections of an engine: taken for one operation, and given back whole or broken."""

from __future__ import annotations

import asyncio
from math import inf
from pathlib import Path
from time import monotonic
from typing import Final

from sqlalchemy.util import greenlet_spawn

from ..drivers.driver import Driver
from .bounded import Left, bounded
from .endings import Endings
from .lease import Lease, most_idle, to_its_end, waits_for_nothing
from .limits import Limits
from .making import Maker
from .modes import Mode
from .opened_file import OpenedFile
from .pools import LoopPool
from .readers import Readers
from .scarce import Scarce

_GRACE_SECONDS: Final = 0.5
"""How long a call that is over waits for the server to say that its statement is."""
_PING_SECONDS: Final = 0.3
_SUSPICIOUS_SECONDS: Final = 0.1
"""A statement that had no answer for so long makes the other connections suspicious."""


class Connections:
    """Takes connections out of a pool, and sees to it that what runs on them commits by itself.

    The pool of SQLAlchemy wants a greenlet around it, and with that a check-out and a check-in take a quarter of the
    time that reading a session takes. So those of our own engine stay out between operations; those of others go back
    as they came.

    Attributes:
        readers: Which connections lead to a server that only reads.

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
        self._mode = mode
        self._driver = driver
        self._limits = limits
        self._generation = 0
        self._suspected = -inf
        self._endings = Endings(pool, mode, driver)
        self._maker = Maker(pool, mode, driver, self._endings, owned=owned)
        self.readers = Readers(driver)
        self._owned = owned
        self._idle: list[Lease] = []
        self._scarce = Scarce((*driver.errors, OSError), self._idle, self._endings.drop)
        self._most_idle = most_idle(pool()) if owned else 0
        self._closed = self._inherited = False
        self._in_use: set[Lease] = set()

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
        return await self._reader(lease) if self.readers.has(lease) else lease

    async def _any(self) -> Lease:
        while True:
            while self._idle:
                lease = self._idle.pop()
                now = monotonic()
                if lease.rested + self._limits.idle_seconds < now:
                    self._endings.drop([lease])
                elif lease.rested > self._suspected or await self._answers(lease):
                    self._scarce.used += 1
                    self._in_use.add(lease)
                    return lease
            connected = await self._scarce.obtain(self._connect, self._limits.connection_wait, self.give_back)
            if connected is not None:
                self._in_use.add(connected)
                return connected

    async def _reader(self, lease: Lease) -> Lease:
        """A connection that only reads; another one in its place where nobody knows whether new ones would too."""
        readers = self.readers
        readers.saw(lease.since)
        if readers.unknown:
            await self.discard(lease, lost=True)
            lease = await self._any()
            if readers.has(lease):
                readers.saw(lease.since)
        elif not (readers.known or readers.looking):
            readers.looking = True
            _ = self._endings.beside(self._look(lease))
        return lease

    async def _look(self, lease: Lease) -> bool:
        """Replaces all connections where a new one leads to a server that writes."""
        writes = await self.readers.look(lease.pool)
        if writes:
            self._generation += 1
            self._replace_all(lease)
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
            await to_its_end(self._endings.close([lease]))  # its pool is disposed of, or about to be
        elif lease.generation != self._generation:
            await self.discard(lease, lost=False)
        elif self._scarce.leaves_one():
            # To other processes, which may have none.
            self._scarce.used -= 1
            await to_its_end(self._endings.close([lease]))
        elif self._scarce.hand_over(lease):
            return
        else:
            self._scarce.used -= 1
            if len(self._idle) < self._most_idle:
                self._idle.append(lease)
                self._scarce.close_spare_soon()
            elif waits_for_nothing(lease.pool):
                await self._endings.give_back(lease)
            else:
                await to_its_end(self._endings.give_back(lease))

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
            lease.outdate_pool()
        # Also where the operation is cancelled meanwhile: closing says goodbye to the server, and may take its time.
        try:
            if lost:
                self._end_transaction(lease)
            await to_its_end(self._endings.close([lease, *(self._forget_idle() if lost or others else ())]))
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
        task = self._endings.cut_off(lease, left)
        answered = False
        try:
            await asyncio.wait([task], timeout=_GRACE_SECONDS)
            answered = task.done() and not task.cancelled() and task.result()
        finally:
            self._give_up(lease)
            if answered and self._suspected == since:
                self._suspected = -inf
            elif not answered:
                if left.waited > _SUSPICIOUS_SECONDS:
                    self._replace_all(lease)
                self._end_transaction(lease)
        return answered

    async def close(self) -> None:
        """Gives the idle ones back to the pool. Those in use are closed when they are given back, if they are ours."""
        self._closed = True
        self._most_idle = 0
        self._scarce.close()
        await self._endings.cancel()
        for lease in self._forget_idle():
            await greenlet_spawn(lease.close)
        await self._maker.close()

    async def end(self) -> None:
        """Closes what cannot outlive the event loop, in the last moment that the loop gives."""
        await self.close()
        await self._maker.close_of_loop()

    def abandon(self) -> None:
        """Closes the connections of a loop that was closed, without the loop."""
        self._closed = True
        self._most_idle = 0
        self._endings.abandon()
        leases = [*self._forget_idle(), *self._in_use]
        self._in_use.clear()
        for lease in leases:
            self._mode.sever(lease.driver)
            lease.let_go()
        self._maker.abandon()

    def leave(self, lease: Lease) -> None:
        """Forgets a connection in the middle of an operation whose loop or process is gone."""
        if lease in self._in_use and not self._inherited:
            self._give_up(lease)
            self._mode.sever(lease.driver)

    def disown(self) -> None:
        """Touches nothing from now on: this is a child, and all belongs to its parent."""
        self._inherited = True

    def _forget_idle(self) -> list[Lease]:
        forgotten = self._idle.copy()
        self._idle.clear()
        return forgotten

    async def _answers(self, lease: Lease) -> bool:
        """Whether a suspicious connection answers at once; if not, all that are suspicious are replaced."""
        try:
            await bounded(self._driver.command(lease.driver, "SELECT 1"), _PING_SECONDS)
        except Left as left:
            _ = self._endings.cut_off(lease, left)
            lease.let_go()
            self._replace_all(lease)
            if left.cancelled is not None:
                raise left.cancelled from None
            return False
        except self._maker.known:
            self._endings.drop([lease])
            return False
        return True

    def _replace_all(self, lease: Lease) -> None:
        """Replaces all that are idle, also those in the pool, when they are asked for next."""
        self._endings.drop(self._forget_idle())
        lease.outdate_pool()

    def _end_transaction(self, lease: Lease) -> None:
        """Ends the transaction of a lost connection. The server may notice late, and keeps rows locked until then."""
        if not self._closed:
            self._endings.end_transaction(lease)

    def _give_up(self, lease: Lease) -> None:
        """Gives back the place in the pool of a connection that is going to be closed by somebody else."""
        lease.let_go()
        self._in_use.discard(lease)
        self._returned.set()
        self._scarce.used -= 1
        self._scarce.free_place()

    async def _connect(self) -> Lease:
        # Before it connects: what is replaced meanwhile may lead to the same server as this one.
        generation = self._generation
        try:
            lease = await self._maker.make()
        except self._driver.errors as error:
            await self._driver.note_code(error)
            raise
        lease.generation = generation
        return lease

    async def _close_all(self) -> None:
        """Closes all connections, those in use when they are given back. Nobody takes one meanwhile."""
        while self._in_use:
            self._returned.clear()
            await self._returned.wait()
        await to_its_end(self._endings.close(self._forget_idle()))
        await self._maker.close_pooled()

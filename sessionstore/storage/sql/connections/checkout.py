"""Checks connections of one event loop out for one operation each, and takes them back, whole or broken."""

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
from .remains import Remains
from .scarce import Scarce

_GRACE_SECONDS: Final = 0.5
"""How many seconds a call that was cancelled or timed out waits until the server confirms the end of its statement."""
_PING_SECONDS: Final = 0.3
_SUSPICIOUS_SECONDS: Final = 0.1
"""If a statement got no answer for this many seconds, the other connections are suspicious: they may be dead too."""


class Connections:
    """Checks connections out of a pool, in AUTOCOMMIT, and keeps idle connections for the next operation.

    SQLAlchemy's pool needs a greenlet, which takes a quarter of the time of a read. So our own engine's connections
    stay out of the pool between operations. A service's connections go back each time, in the mode in which they came.

    Attributes:
        readers: Which connections lead to a server that only reads.
        inherited: Whether this is a forked child, and all connections belong to its parent.

    Args:
        pool: Chooses the pool that connections are taken from.
        mode: Puts connections into AUTOCOMMIT.
        driver: Runs statements on connections.
        owned: Whether engine.py made the engine.
        limits: For how long a connection may be idle, and a call may wait for one.
        file: The file of SQLite, if there is one.
    """

    def __init__(
        self, pool: LoopPool, mode: Mode, driver: Driver, limits: Limits, *, owned: bool, file: Path | None = None
    ) -> None:
        self._file = None if file is None else OpenedFile(file)
        self._returned = asyncio.Event()
        self._mode, self._driver, self._limits = mode, driver, limits
        self._remains = Remains(self, pool, mode)
        self._idle = self._remains.leases
        self._generation, self._suspected = 0, -inf
        self._endings = Endings(pool, mode, driver)
        self._maker = Maker(pool, mode, driver, self._endings, owned=owned)
        self.readers = Readers(driver)
        self._owned = owned
        self._scarce = Scarce((*driver.errors, OSError), self._idle, self._endings.drop)
        self._most_idle = most_idle(pool()) if owned else 0
        self._closed = self.inherited = False
        self._in_use: set[Lease] = set()

    @property
    def idle(self) -> int:
        """The number of idle connections."""
        return len(self._idle)

    async def take(self) -> Lease:
        """Checks a connection out: an idle one, or a new one from the pool.

        Raises:
            ConfigurationError: A setting of the connection would change what is read or written.
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
        """Returns a connection that only reads, or a new one if it is unknown whether new connections only read too."""
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
        """Replaces all connections if a new one leads to a server that writes."""
        writes = await self.readers.look(lease.pool)
        if writes:
            self._generation += 1
            self._replace_all(lease)
        return writes

    async def give_back(self, lease: Lease) -> None:
        """Takes a connection back that can be used again."""
        if self.inherited:
            return
        lease.rested = monotonic()
        try:
            await self._put(lease)
        finally:
            self._in_use.discard(lease)
            self._returned.set()

    async def _put(self, lease: Lease) -> None:
        if self._closed and self._owned:
            self._scarce.used -= 1
            await to_its_end(self._endings.close([lease]))  # the pool is disposed of, or will be in a moment
        elif lease.generation != self._generation:
            await self.discard(lease, lost=False)
        elif self._scarce.leaves_one():
            self._scarce.used -= 1  # another process may wait for a connection, and gets the place of this one
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
        """Closes a connection that cannot be used again: the end of its statement is unknown, or it broke.

        Args:
            lease: The connection.
            lost: Whether the connection broke. Then idle connections may be broken too, and are replaced.
            others: Whether connections in use have the same fault. They are replaced when they are given back.
        """
        if self.inherited:
            return
        self._scarce.used -= 1
        # The generation is raised once, although all its connections may fail.
        others = others and lease.generation == self._generation
        if others:
            self._generation += 1
        if lost or others:
            lease.outdate_pool()
        # The closing goes on if the operation is cancelled. It sends a message to the server, which may take time.
        try:
            if lost:
                self._end_transaction(lease)
            await to_its_end(self._endings.close([lease, *(self._remains.take_all() if lost or others else ())]))
        finally:
            self._in_use.discard(lease)
            self._returned.set()
            self._scarce.free_place()

    async def part(self, lease: Lease, left: Left) -> bool:
        """Ends an operation that was left in the middle of a statement, and closes its connection.

        The server is asked to cancel the statement. If it does not answer soon, the connection is closed in a task.

        Returns:
            Whether the server answered. If not, idle connections may be dead too, and are replaced.
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
        """Gives idle connections back to the pool. Our own connections in use are closed when they are given back."""
        self._closed = True
        self._most_idle = 0
        self._scarce.close()
        await self._endings.cancel()
        for lease in self._remains.take_all():
            await greenlet_spawn(lease.close)
        await self._maker.close()

    async def end(self) -> None:
        """Closes connections that cannot outlive the event loop, while the loop is about to end."""
        await self.close()
        if not self._remains.found:  # else the storage was dropped, and the loop goes on
            await self._maker.close_of_loop()

    def abandon(self) -> None:
        """Closes the connections after their loop was closed, without the loop."""
        self._closed = True
        self._most_idle = 0
        self._endings.abandon()
        leases = [*self._remains.take_all(), *self._in_use]
        self._in_use.clear()
        for lease in leases:
            self._mode.sever(lease.driver)
            lease.let_go()
        self._maker.abandon()

    def leave(self, lease: Lease) -> None:
        """Forgets a connection in the middle of an operation whose loop or process is gone."""
        if lease in self._in_use and not self.inherited:
            self._give_up(lease)
            self._mode.sever(lease.driver)

    def disown(self) -> None:
        """Leaves all connections alone from now on: this process is a child, and they belong to its parent."""
        self.inherited = True

    async def _answers(self, lease: Lease) -> bool:
        """Whether a suspicious connection answers at once. If not, all suspicious connections are replaced."""
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
        """Closes all idle connections. Those in the pool are replaced when they are taken next."""
        self._endings.drop(self._remains.take_all())
        lease.outdate_pool()

    def _end_transaction(self, lease: Lease) -> None:
        """Ends the transaction of a lost connection. The server may notice late, and keeps rows locked until then."""
        if not self._closed:
            self._endings.end_transaction(lease)

    def _give_up(self, lease: Lease) -> None:
        """Gives back the place in the pool of a connection that another task closes."""
        lease.let_go()
        self._in_use.discard(lease)
        self._returned.set()
        self._scarce.used -= 1
        self._scarce.free_place()

    async def _connect(self) -> Lease:
        # Read before connecting: if all connections are replaced meanwhile, this one may lead to the old server too.
        generation = self._generation
        try:
            lease = await self._maker.make()
        except self._driver.errors as error:
            await self._driver.note_code(error)
            raise
        lease.generation = generation
        return lease

    async def _close_all(self) -> None:
        """Waits until no connection is in use, and closes all. No call takes a connection meanwhile."""
        while self._in_use:
            self._returned.clear()
            await self._returned.wait()
        await to_its_end(self._endings.close(self._remains.take_all()))
        await self._maker.close_pooled()

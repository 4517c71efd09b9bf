"""Makes connections: checks them out of the pool of an event loop, and makes each ready for statements."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakSet

from sqlalchemy import StaticPool
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.util import greenlet_spawn

from ....errors import ConfigurationError, SessionStoreError, StorageError
from ..drivers.driver import Driver
from ..drivers.fork_gate import GATE
from ..faults import Errors
from .endings import Endings
from .engine_options import unusable
from .lease import Lease, of_pool, to_its_end
from .modes import Mode
from .pools import LoopPool, belongs_to, died_with_its_loop, idle, made_in
from .preparing import check_shared, prepare


class Maker:
    """Makes the connections of one event loop, and closes what the pool of that loop still has.

    Attributes:
        known: The errors of the driver, of SQLAlchemy and of this library. Others come from the service's own code.

    Args:
        pool: The pool that connections are taken from now.
        mode: Puts connections into AUTOCOMMIT.
        driver: The driver of the connections.
        endings: Closes a connection that could not be made ready.
        owned: Whether engine.py made the engine.
    """

    def __init__(self, pool: LoopPool, mode: Mode, driver: Driver, endings: Endings, *, owned: bool) -> None:
        self.known: Errors = (*driver.errors, SQLAlchemyError, SessionStoreError, OSError, TimeoutError)
        self._pool = pool
        self._mode = mode
        self._driver = driver
        self._endings = endings
        self._owned = owned
        self._made: WeakSet[Any] = WeakSet()

    async def make(self) -> Lease:
        """Takes a connection out of the pool, and makes it ready.

        Raises:
            ConfigurationError: The connection cannot be put into AUTOCOMMIT, or its options do not go together.
            StorageError: The engine's own events, creator or pool failed.
        """
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
                return await self.make()
        except ArgumentError as error:
            raise ConfigurationError(
                unusable(self._pool.dialect)
                or "SQLAlchemy could not connect with the options of the engine; check its options and event listeners"
            ) from error
        except self.known:
            raise
        except Exception as error:
            if (reason := unusable(self._pool.dialect)) is not None:
                raise ConfigurationError(reason) from error
            if (refusal := await self._refusal(pool)) is not None:
                raise refusal from error
            raise StorageError(
                "the engine could not make a connection: its pool, its creator, its events or its connect_args "
                f"(such as row_factory or cursor_factory) raised {type(error).__name__}; the cause has the details"
            ) from error
        self._made.add(lease.driver)
        try:
            await prepare(lease, self._mode)
        except GeneratorExit:
            raise  # nothing can be waited for
        except BaseException:
            await to_its_end(self._endings.close([lease]))
            raise
        return lease

    async def _refusal(self, pool: Any) -> ConfigurationError | None:
        """Returns the error if this library cannot use the connections of a pool; None: no reason was found.

        Makes a connection without SQLAlchemy's checks and the service's events, because one of these failed. For
        instance, psycopg reads bytes from a database with the encoding SQL_ASCII, and SQLAlchemy fails at bytes.
        """
        try:
            # This makes a connection that the pool's events do not see. It has no public name.
            adapted = await greenlet_spawn(pool._invoke_creator, None)  # noqa: SLF001
        except Exception:  # noqa: BLE001  # the creator of the service may raise anything, and did so before
            return None
        try:
            await self._mode.check(adapted.driver_connection)
        except ConfigurationError as refusal:
            return refusal
        except self.known:
            return None
        finally:
            await greenlet_spawn(adapted.close)
        return None

    async def close_pooled(self) -> None:
        """Closes the idle connections of the pool. Later calls get new ones."""
        for record in idle(self._pool()):
            await greenlet_spawn(record.close)

    async def close(self) -> None:
        """Disposes of the pools that were made for this loop alone."""
        if self._pool.made:
            await greenlet_spawn(self._pool.last.dispose)
        await self._dispose_outdated()

    async def close_of_loop(self) -> None:
        """Closes the idle connections in a service's pool that work in no other loop. The next loop makes new ones."""
        loop = asyncio.get_running_loop()
        for record in idle(self._pool.last):
            if belongs_to(loop, record.driver_connection):
                await greenlet_spawn(record.close)

    def abandon(self) -> None:
        """Closes connections of a loop that was closed, without the loop."""
        if self._pool.made:
            for driver in list(self._made):
                self._mode.sever(driver)
            return
        for record in idle(self._pool.last):
            connection = record.driver_connection
            if died_with_its_loop(connection) or not self._driver.at_rest(connection):
                self._mode.sever(connection)
                record.dbapi_connection = None  # the next check-out of the record connects anew
        self._pool.abandon()

    async def _dispose_outdated(self) -> None:
        while self._pool.outdated:
            await greenlet_spawn(self._pool.outdated.pop().dispose)

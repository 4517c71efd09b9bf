"""Runs each operation on one connection, tells faults apart, and retries where that is safe."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from math import inf
from time import monotonic
from typing import Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from .... import config
from ....concurrency.loops import PerLoop, running_loop
from ....concurrency.sent import noted
from ....errors import ConfigurationError, SessionStoreError, StorageError
from ...records import Use
from ..causes import Stage, clean_cause
from ..drivers.sqlite_thread import supervise_all
from ..faults import NOT_PREPARED, Fault, code_of, driver_error, of_one_statement, storage_error
from ..privileges import may_not_connect
from ..sqlite_file import trouble_with
from ..urls.sqlite import file_of
from .channel import NO_QUEUE, Channel
from .database import DATABASES, database
from .engine_options import check_pool, check_translation
from .first_call import FirstCall
from .grants import NEEDED_BY, Grants
from .lease import Lease, NeedsNewest, to_its_end
from .limits import Limits
from .modes import MODES
from .operation import OF_ITS_CONNECTION, Failure, Operation, operate
from .readiness import Readiness

R = TypeVar("R")

_LOG: Final = logging.getLogger("sessionstore.storage")

_READ_ATTEMPTS: Final = 3

ROLLED_BACK_ATTEMPTS: Final = 6
"""How many times a call is attempted that the server rolls back. After a deadlock of two transactions, the server lets
one of them go on, so few attempts are enough."""
ROLLED_BACK_SECONDS: Final = 5.0
"""For how many seconds such a call is attempted at least. Of many concurrent serializable writes, one after the other
succeeds, which takes some time."""
_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.2

_OF_THE_TABLES: Final = {Fault.SCHEMA, Fault.DENIED, Fault.UNREAD, None}
"""Faults after which the tables are looked at again: for their revision, columns, rules, and row level security."""


class Gateway:
    """Runs operations, which are coroutine functions of a connection, on an engine.

    Everything runs in AUTOCOMMIT, because BEGIN and COMMIT around a single statement are two round trips for nothing.

    Args:
        engine: The engine.
        schema: The PostgreSQL schema of the tables.
        owned: Whether the engine was made by engine.py, in AUTOCOMMIT, and ends with the gateway.
        limits: The time limits. None: there are none.
    """

    def __init__(self, engine: AsyncEngine, *, schema: str | None, owned: bool, limits: Limits | None = None) -> None:
        if not isinstance(engine, AsyncEngine):
            raise ConfigurationError(
                "SqlStorageProvider takes an AsyncEngine, as create_async_engine() makes it, not "
                f"{type(engine).__module__}.{type(engine).__qualname__}; open_storage() takes a URL"
            )
        if engine.dialect.name not in DATABASES or engine.dialect.driver not in MODES:
            asked = f"{engine.dialect.name} through {engine.dialect.driver}"
            raise ConfigurationError(f"sessions are kept in PostgreSQL or SQLite, not in {asked}")
        self._async_engine = engine
        self._owned = owned
        self._limits = limits or Limits()
        self._channels = PerLoop(self._open_channel, drop=Channel.abandon, inherit=_disown)
        sqlite = engine.dialect.name == "sqlite"
        if sqlite:
            supervise_all(engine.sync_engine)
        self.schema = None if sqlite else config.schema_name(schema)
        check_pool(engine)
        check_translation(engine, self.schema)
        self._backend, self.table, self.statements, catalogue = database(engine.dialect, self.schema)
        self._first_call = FirstCall(self.table, catalogue, file_of(engine.url) if sqlite else None)
        self._grants = Grants(self.schema, catalogue)
        self.readiness = Readiness(self._backend, catalogue, self._first_call, self._grants)
        self._closed = self._advised = False

    @property
    def channel(self) -> Channel:
        """The channel of the event loop that runs now."""
        return self._channels.here()

    async def run(
        self,
        operation: Operation[R],
        *,
        writing: bool,
        statements: float = 1,
        longer: float = 0.0,
        at_most: float = inf,
        access: bool = False,
        use: Use | None = None,
    ) -> R:
        """Runs an operation and returns its result. The operation may raise errors of the database only.

        Args:
            operation: What to run.
            writing: Whether the operation writes.
            statements: The time limit of the operation, as a multiple of the time limit of a statement.
            longer: How many seconds are added to this time limit.
            at_most: The time limit in seconds, if the other one is not lower.
            access: Whether the operation writes for the sake of a read. If the server only reads, the operation is
                refused, and the connection serves reads as before.
            use: The use whose privileges the operation needs; None: "service" if it writes, else "readonly".

        Raises:
            StorageError: See faults.py. A read that loses its connection is repeated on another one. An operation that
                the server rolled back because of other transactions is retried after a pause.
            SchemaError: The tables do not fit this version.
        """
        if self._closed:
            raise StorageError("the storage is closed; open another one")
        use = use or NEEDED_BY[writing]
        if not self._first_call.settled:
            await self._check_schema(use)
        if writing and (sent := noted()) is not None:
            sent.begin()
        seconds = min(at_most, statements * self._limits.statement_seconds + longer)
        return await self._attempt(operation, writing=writing, seconds=seconds, access=access, use=use)

    @asynccontextmanager
    async def transaction(self, lease: Lease) -> AsyncGenerator[None]:
        """Runs the body in a writing transaction, for an operation of more than one statement."""
        driver = self._backend.driver
        mark = random.getrandbits(63)  # need not be secret
        lease.ending = self._backend.end_marked(mark)
        sent, lease.sent = lease.sent, None
        await driver.command(lease.driver, self._backend.begin_marked(mark))
        try:
            yield
            lease.sent = sent
            lease.report()  # a caller whose time was up before is told that nothing was written
        except Exception:
            lease.spoilt = True  # until the transaction is known to have ended
            # If ROLLBACK fails too, the first error says more.
            with suppress(*driver.errors, OSError):
                await driver.command(lease.driver, "ROLLBACK")
                lease.spoilt = False
                lease.ending = None
            raise
        await driver.command(lease.driver, "COMMIT")
        lease.ending = None

    async def close(self) -> None:
        """Closes our own connections of all event loops."""
        self._closed = True
        channels = self._channels.all()
        here = running_loop() if channels else None  # a child that was forked in a coroutine has neither
        for loop, channel in channels.items():
            if loop is here:
                await channel.close()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(channel.close(), loop))
            else:
                channel.abandon()
            self._channels.end(channel)

    def _open_channel(self) -> Channel:
        engine = self._async_engine.sync_engine
        return Channel(engine, self._backend, self._limits, owned=self._owned, ended=self._channels.end)

    async def _check_schema(self, use: Use) -> None:
        if self._first_call.due:
            async with self.channel.check_turn:
                if self._first_call.due:
                    await self._look(use)

    async def _look(self, use: Use | None) -> None:
        seen = await self._attempt(self._first_call.look, writing=False, diagnosing=False, use=use)
        if refusal := self._first_call.refusal(seen):
            raise refusal
        self._first_call.note(seen)

    async def _attempt(
        self,
        operation: Operation[R],
        *,
        writing: bool,
        diagnosing: bool = True,
        seconds: float | None = None,
        access: bool = False,
        use: Use | None = None,
    ) -> R:
        bound = self._limits.statement_seconds if seconds is None else seconds
        began = monotonic()
        lost = rolled_back = anew = 0
        reformed = changed = False
        while True:
            if changed and diagnosing:
                changed = False
                await self._look(use)
            try:
                channel = self._channels.here()
                async with channel.write_queue if writing else NO_QUEUE, channel.queue:
                    running = operate(
                        operation,
                        channel.connections,
                        self._backend,
                        bound,
                        writing=writing,
                        access=access,
                        new=anew > 0,
                        previous=self._first_call.previous,
                    )
                    return await (running if self._backend.interruptible else to_its_end(running))
            except Failure as failure:
                error, fault, stage = failure.error, failure.fault, failure.stage
                lost += fault in (Fault.LOST, Fault.SILENT)
                rolled_back += fault is Fault.ROLLED_BACK
                anew += fault in OF_ITS_CONNECTION
                if fault in (Fault.LOST, Fault.SILENT) and not writing and lost < _READ_ATTEMPTS:
                    continue
                if fault in OF_ITS_CONNECTION and anew == 1:
                    self._advise(error)
                    changed = fault is Fault.STALE
                    continue  # on another connection; the server refused the statement and wrote nothing
                if fault is Fault.ROLLED_BACK and (
                    rolled_back < ROLLED_BACK_ATTEMPTS or monotonic() < began + ROLLED_BACK_SECONDS
                ):
                    # Random, so that the same transactions do not collide again. No secret depends on it.
                    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(rolled_back, 10))
                    await asyncio.sleep(random.uniform(0, longest))  # noqa: S311
                    continue
            if isinstance(error, NeedsNewest):
                await self._look(use)
                if not self._first_call.previous:
                    continue  # the tables were migrated meanwhile
                raise self._first_call.too_early()
            if isinstance(error, SessionStoreError):
                cause = error.__cause__
                error.__context__ = None  # the driver's own error; the cause is a copy of it
                raise error from (None if cause is None else clean_cause(cause, stage))
            translated: SessionStoreError = self._translated(error, fault, writing=writing)
            if fault is Fault.DENIED and stage is Stage.CONNECTING and self.schema is not None:
                url = self._async_engine.url
                raise may_not_connect(url.username, url.database) from clean_cause(error, stage)
            if fault is Fault.DENIED and use is not None:
                translated = await self._lacking(use) or translated
            if fault in _OF_THE_TABLES and diagnosing and getattr(translated, "refused", True):
                diagnosis = await self._diagnosed()
                if diagnosis is None and fault is Fault.SCHEMA and self._first_call.previous and not reformed:
                    reformed = True
                    continue  # the tables were taken back to the previous revision
                translated = diagnosis or translated
            raise translated from clean_cause(error, stage)

    def _translated(self, error: Exception, fault: Fault | None, *, writing: bool) -> StorageError:
        url = self._async_engine.url
        trouble = trouble_with(url, code_of(driver_error(error))) if self.schema is None else None
        name, unsent = self._backend.name, self._backend.driver.unsent
        failed = storage_error(error, fault, backend=name, writing=writing, unsent=unsent, trouble=trouble)
        failed.refused = failed.refused or of_one_statement(error)
        return failed

    def _advise(self, error: Exception) -> None:
        if code_of(driver_error(error)) in NOT_PREPARED and not self._advised:
            self._advised = True
            _LOG.warning(
                "prepared statements of a connection were gone, and the call was done again on another connection; "
                "behind a pooler in transaction mode, add prepared_statements=false to the URL"
            )

    async def _diagnosed(self) -> SessionStoreError | None:
        """Looks at the tables after a call failed, and returns the error if they are the reason; None: they are not."""
        seen = await self._attempt(self._first_call.look, writing=False, diagnosing=False)
        if (error := self._first_call.missing(seen)) is None:
            self._first_call.note(seen)
        return error

    async def _lacking(self, use: Use) -> StorageError | None:
        """Returns the error that names the privileges that the role lacks; None: the role has all that we need."""
        return await self._attempt(lambda lease: self._grants.look(lease, use), writing=False, diagnosing=False)


def _disown(channels: Mapping[asyncio.AbstractEventLoop, Channel]) -> None:
    for channel in channels.values():
        channel.connections.disown()

"""The way to the database: one greenlet and one connection for each operation, and every fault told apart."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, Final, TypeVar

from sqlalchemy import Column, Connection, Dialect, MetaData, String, Table, inspect, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from ... import config
from ...errors import ConfigurationError, SchemaError, SessionStoreError, StorageError
from .dialect import Backend
from .engine import BUSY_SECONDS
from .faults import Fault, code_of, discreet, driver_error, storage_error
from .postgresql import PostgreSQL
from .sqlite import SQLite
from .statements import Statements
from .tables import REVISIONS, VERSION_TABLE, sessions_table
from .turns import Turns

R = TypeVar("R")

_BACKENDS: Final[Mapping[str, Callable[[Dialect], Backend]]] = {"postgresql": PostgreSQL, "sqlite": SQLite}

_READ_ATTEMPTS: Final = 3
_BUSY: Final = "other writers kept the SQLite file for too long; write less at once, or use PostgreSQL"


class Gateway:
    """Runs operations, which are plain functions of a Connection, on an engine.

    A whole operation runs in one greenlet, because switching for each driver call costs more than the call; and in
    AUTOCOMMIT, because BEGIN and COMMIT around a single statement are two round trips for nothing.

    Args:
        engine: Where to run.
        schema: Where the tables are.
        owned: Whether the engine was made by engine.py, in AUTOCOMMIT, and ends with the gateway.
    """

    def __init__(self, engine: AsyncEngine, *, schema: str | None, owned: bool) -> None:
        backend = _BACKENDS.get(engine.dialect.name)
        if backend is None:
            raise ConfigurationError(f"sessions are kept in PostgreSQL or SQLite, not in {engine.dialect.name}")
        self._async_engine = engine
        self._owned = owned
        sync_engine = engine.sync_engine
        self._engine = sync_engine if owned else sync_engine.execution_options(isolation_level="AUTOCOMMIT")
        self._backend: Backend = backend(engine.dialect)
        sqlite = engine.dialect.name == "sqlite"
        self.schema = None if sqlite else config.schema_name(schema)
        metadata = MetaData(schema=self.schema)
        self.table = sessions_table(metadata, sqlite=sqlite)
        self._version_table = Table(VERSION_TABLE, metadata, Column("version_num", String))
        self.statements = Statements(self.table, self._backend, engine.dialect)
        self._turns = Turns.of_pool(sync_engine.pool)
        self._write_turns = Turns(1, BUSY_SECONDS, _BUSY) if self._backend.one_writer else nullcontext()
        self._check_turn = asyncio.Lock()
        self._checked = self._closed = False

    async def run(self, operation: Callable[[Connection], R], *, writing: bool) -> R:
        """Runs an operation and returns what it returns; what it raises must come from the database.

        Raises:
            StorageError: See faults.py. A read that loses its connection is repeated on another one.
            SchemaError: The tables do not fit this version.
        """
        if self._closed:
            raise StorageError("the storage is closed; open another one")
        if not self._checked:
            await self._check_schema()
        return await self._attempt(operation, writing=writing)

    @contextmanager
    def transaction(self, connection: Connection) -> Generator[None]:
        """A transaction that is going to write, for an operation of more than one statement."""
        self._backend.execute(connection, self._backend.begin, ())
        try:
            yield
        except Exception:
            try:
                self._backend.execute(connection, "ROLLBACK", ())
            except Exception:  # noqa: BLE001  # whatever it is, this connection must not go back to the pool
                connection.invalidate()
            raise
        self._backend.execute(connection, "COMMIT", ())

    async def close(self) -> None:
        """Ends the engine, if it is ours."""
        self._closed = True
        if self._owned:
            await self._async_engine.dispose()

    async def _check_schema(self) -> None:
        async with self._check_turn:
            if self._checked:
                return
            found = await self._attempt(self._revision, writing=False, diagnosing=False)
            if found != REVISIONS[-1]:
                raise self._schema_error(found)
            self._checked = True

    def _revision(self, connection: Connection) -> str | None:
        # Asked of the catalogue: in SQLite, a missing table has no error code of its own.
        if not inspect(connection).has_table(self._version_table.name, schema=self.schema):
            return None
        return connection.execute(select(self._version_table.c.version_num)).scalar()

    async def _attempt(self, operation: Callable[[Connection], R], *, writing: bool, diagnosing: bool = True) -> R:
        for left in reversed(range(_READ_ATTEMPTS)):
            try:
                async with self._write_turns if writing else nullcontext(), self._turns:
                    running = greenlet_spawn(lambda: self._operate(operation))
                    return await (running if self._backend.interruptible else _to_its_end(running))
            except Exception as error:
                fault = self._backend.fault(error)
                if fault is Fault.LOST and not writing and left:
                    continue
                translated = self._translated(error, fault, writing=writing)
                if fault is Fault.SCHEMA and diagnosing:
                    translated = await self._diagnosed(error)
                if translated is None:
                    raise
                raise translated from discreet(driver_error(error))
        raise AssertionError("the last attempt returns or raises")

    def _operate(self, operation: Callable[[Connection], R]) -> R:
        with self._engine.connect() as connection:
            try:
                return operation(connection)
            except BaseException as error:
                if not isinstance(error, Exception):
                    # Cancelled in the middle of a statement: nobody knows what is still to come on this connection.
                    connection.invalidate()
                elif self._backend.fault(error) is Fault.LOST:
                    _condemn(connection)
                raise

    def _translated(self, error: Exception, fault: Fault | None, *, writing: bool) -> SessionStoreError | None:
        original = driver_error(error)
        known = isinstance(error, SQLAlchemyError) or isinstance(original, self._engine.dialect.loaded_dbapi.Error)
        if fault is None and not known and code_of(original) is None:
            return None
        return storage_error(error, fault, backend=self._engine.dialect.name, writing=writing)

    async def _diagnosed(self, error: Exception) -> SessionStoreError:
        """What to say where a table or column was missed: the tables moved on, or are gone, or it is a defect."""
        found, table_is_there = await self._attempt(self._state_of_schema, writing=False, diagnosing=False)
        if found != REVISIONS[-1]:
            return self._schema_error(found)
        if not table_is_there:
            return SchemaError(
                f"{self._place} is at revision {found}, but its table 'sessions' is gone: restore it, or drop "
                f"{VERSION_TABLE!r} too and run `sessionstore migrate upgrade`",
                found=found,
                wanted=found,
            )
        return storage_error(error, None, backend=self._engine.dialect.name, writing=False)

    def _state_of_schema(self, connection: Connection) -> tuple[str | None, bool]:
        return self._revision(connection), inspect(connection).has_table(self.table.name, schema=self.schema)

    @property
    def _place(self) -> str:
        return "the database" if self.schema is None else f"schema {self.schema!r}"

    def _schema_error(self, found: str | None) -> SchemaError:
        wanted = REVISIONS[-1]
        place = self._place
        named = self.schema is not None and self.schema != config.DEFAULT_SCHEMA
        option = f" --schema {shlex.quote(self.schema)}" if self.schema and named else ""
        if found is None:
            text = f"{place} has no sessionstore tables; run `sessionstore migrate upgrade{option}`"
        elif found in REVISIONS:
            text = f"{place} is at revision {found}, but {wanted} is wanted; run `sessionstore migrate upgrade{option}`"
        else:
            text = (
                f"{place} is at revision {found}, which this version of sessionstore does not know: it wants {wanted}; "
                f"upgrade sessionstore, or run `sessionstore migrate downgrade {wanted}{option}` with the newer version"
            )
        return SchemaError(text, found=found, wanted=wanted)


async def _to_its_end(running: Coroutine[Any, Any, R]) -> R:
    """Waits for an operation also when it is cancelled, so that it leaves nothing behind; then it is cancelled."""
    task = asyncio.ensure_future(running)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        task.exception()  # asked for, or asyncio would complain that nobody did
        raise


def _condemn(connection: Connection) -> None:
    """Makes SQLAlchemy see that the connection is lost, so that it also replaces the pool's others of before."""
    with suppress(SQLAlchemyError):
        connection.exec_driver_sql("SELECT 1")
    if not connection.invalidated:
        connection.invalidate()

"""Our part of a host's migration: its place in the host's transaction, and its locks."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from ..errors import ConfigurationError
from ..storage.sql.faults import code_of, driver_error
from .faults import keep_waiting
from .locks import LONGEST_TURN, TABLE_TURN, holders_here, key_of, may_go_again
from .target import Target


class Part(ABC):
    """Our part of a host's migration.

    Args:
        connection: The host's connection.
        target: Our tables.
    """

    def __init__(self, connection: Connection, target: Target) -> None:
        self._connection = connection
        self._target = target

    @abstractmethod
    def alone(self) -> AbstractContextManager[None]:
        """Lets no other migration of the same tables run until the host's transaction ends."""

    @abstractmethod
    def work(self, run: Callable[[], None]) -> None:
        """Runs a migration, and retries it while other transactions hold its locks.

        Raises:
            StorageUnavailableError: A lock was not free in time.
        """

    @contextmanager
    def _in_transaction(self, begun: bool, begin: str) -> Generator[None]:
        """Runs the block in the host's transaction. If the host has none, as in AUTOCOMMIT, begins and ends one."""
        if begun:
            yield
            return
        self._connection.exec_driver_sql(begin)
        try:
            yield
        except BaseException:
            self._connection.exec_driver_sql("ROLLBACK")
            raise
        self._connection.exec_driver_sql("COMMIT")


class _OnPostgresql(Part):
    @contextmanager
    def alone(self) -> Generator[None]:
        # In AUTOCOMMIT each statement is a transaction. So a setting of the transaction is gone after its statement.
        self._connection.exec_driver_sql("SELECT pg_catalog.set_config('sessionstore.part', 'yes', true)")
        begun = self._ask("SELECT pg_catalog.current_setting('sessionstore.part', true)") == "yes"
        encoding = self._ask("SELECT pg_catalog.current_setting('server_encoding')")
        if encoding != "UTF8":
            raise ConfigurationError(
                f"the encoding of the database is {encoding}, which cannot hold all characters; create a database with "
                "ENCODING 'UTF8' TEMPLATE template0"
            )
        with self._in_transaction(begun, "BEGIN"):
            while not self._locked():
                pass
            yield

    def work(self, run: Callable[[], None]) -> None:
        limits = {"lock_timeout": lambda: self._at_most(self._target.lock_wait.share(TABLE_TURN))}
        while not self._done(run, limits):
            time.sleep(self._target.lock_wait.pause())

    def _locked(self) -> bool:
        key = {"key": key_of(self._schema)}
        if self._connection.scalar(text("SELECT pg_catalog.pg_try_advisory_xact_lock(:key)"), key):
            return True
        # lock_timeout limits the wait. A statement_timeout must not end it earlier.
        limits: dict[str, Callable[[], int]] = {
            "lock_timeout": lambda: self._target.lock_wait.turn(LONGEST_TURN),
            "statement_timeout": lambda: 0,
        }
        lock = text("SELECT pg_catalog.pg_advisory_xact_lock(:key)")
        return self._done(lambda: self._connection.execute(lock, key).close(), limits)

    def _done(self, run: Callable[[], None], limits: Mapping[str, Callable[[], int]]) -> bool:
        """Runs a step once. False: a lock was not free, the step was rolled back, and there is time for another try."""
        try:
            with self._connection.begin_nested(), self._settings(limits):
                run()
        except DBAPIError as error:
            if not may_go_again(_code(error)):
                raise
            keep_waiting(self._target, holders_here(self._connection, self._schema), error)
            return False
        return True

    @contextmanager
    def _settings(self, wanted: Mapping[str, Callable[[], int]]) -> Generator[None]:
        """Changes settings within a savepoint. A rollback to the savepoint restores the host's settings by itself."""
        found = {name: self._ask(f"SELECT pg_catalog.current_setting('{name}')") for name in wanted}
        for name, value in wanted.items():
            self._set(name, str(value()))
        yield
        for name, given in found.items():
            self._set(name, given)

    def _set(self, name: str, value: str) -> None:
        query = text("SELECT pg_catalog.set_config(:name, :value, true)")
        self._connection.execute(query, {"name": name, "value": value}).close()

    def _at_most(self, wait: int) -> int:
        """Returns how long to wait in milliseconds: ``wait``, or the host's lock_timeout if that is shorter."""
        given = int(self._ask("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'lock_timeout'"))
        return min(wait, given) if given else wait

    def _ask(self, query: str) -> str:
        return str(self._connection.exec_driver_sql(query).scalar())

    @property
    def _schema(self) -> str:
        assert self._target.schema is not None
        return self._target.schema


class _OnSqlite(Part):
    def alone(self) -> AbstractContextManager[None]:
        # The driver begins a transaction only before it changes rows, and not before it makes a table.
        driver: Any = self._connection.connection.driver_connection
        return self._in_transaction(driver.in_transaction, "BEGIN IMMEDIATE")

    def work(self, run: Callable[[], None]) -> None:
        run()


def part_of(connection: Connection, target: Target) -> Part:
    """Returns our part of the migration on this connection."""
    return (_OnSqlite if target.schema is None else _OnPostgresql)(connection, target)


_PSYCOPG2_CODE: Final = "pgcode"


def _code(error: DBAPIError) -> str | None:
    """Returns the code of the error, whichever driver the host uses."""
    return code_of(driver_error(error)) or getattr(error.orig, _PSYCOPG2_CODE, None)

"""psycopg without the library and without asyncio: the same two statements through a pool."""

from __future__ import annotations

from itertools import count
from typing import Any, ClassVar

import orjson
from psycopg import Connection
from psycopg_pool import ConnectionPool

from sessionstore.testing.postgres import Database

from ..contestant import POOL_SIZE
from ..server import libpq_url
from ..statements import NOTED, STATE, LibrarySql, as_read, key
from ..states import Change, State
from .threaded import Threaded


class RawPsycopg(Threaded):
    """Optimistic: a write that found another version is read and tried again at once."""

    job: ClassVar[str] = "no library: SQL by hand"

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.sql = LibrarySql.of(database.url, "sessionstore")

    def open(self) -> None:
        pool: ConnectionPool[Connection[Any]] = ConnectionPool(
            libpq_url(self.database.url),
            min_size=POOL_SIZE,
            max_size=POOL_SIZE,
            kwargs={"autocommit": True},
            open=False,
        )
        self.pool = self.stack.enter_context(pool)
        self.pool.wait()

    def get(self, session: str) -> State:
        with self.pool.connection() as connection:
            return self._decode(self._fetch(connection, self.sql.get.named, key(session)))

    def read_modify_write(self, session: str, change: Change) -> None:
        for _ in count():
            with self.pool.connection() as connection:
                row = self._fetch(connection, self.sql.get.named, key(session))
                new = {"state": orjson.dumps(change(self._decode(row))).decode(), **as_read(row), **NOTED}
                if self._fetch(connection, self.sql.update.named, key(session) | new) is not None:
                    return

    @staticmethod
    def _fetch(connection: Connection[Any], sql: str, parameters: dict[str, Any]) -> Any:
        parameters["now"] = None
        return connection.execute(sql, parameters).fetchone()

    @staticmethod
    def _decode(row: Any) -> State:
        state: State = orjson.loads(row[STATE])
        return state

"""A database with sessions, as somebody else sees it."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Any, Protocol

import psycopg


class Place(Protocol):
    """The database as somebody else sees it."""

    url: str

    def keep(self) -> None:
        """Remembers the sessions, all of them due for an access, and the old ones expired."""
        ...

    def begin(self, version: int) -> None:
        """Puts the sessions back, at this version."""
        ...

    def rows(self) -> list[tuple[str, int, str]]:
        """Id, version and state of each session."""
        ...

    def quiet(self) -> bool:
        """Whether nobody else runs anything or holds a transaction."""
        ...

    def left(self) -> bool:
        """Whether nobody else is connected."""
        ...


_AGING = [("NOT LIKE", timedelta(minutes=20)), ("LIKE", timedelta(hours=2))]


class PostgresPlace:
    def __init__(self, url: str, connection: psycopg.Connection) -> None:
        self.url = url
        self._connection = connection

    def keep(self) -> None:
        self._run("SET lock_timeout = '5s'")
        self._run("CREATE TEMPORARY TABLE kept AS TABLE sessionstore.sessions")
        for operator, age in _AGING:
            self._run(f"UPDATE kept SET expires_at = expires_at - %s WHERE session_id {operator} 'old%%'", age)

    def begin(self, version: int) -> None:
        self._run("UPDATE kept SET version = %s", version)
        self._run("DELETE FROM sessionstore.sessions")
        self._run("INSERT INTO sessionstore.sessions SELECT * FROM kept")

    def rows(self) -> list[tuple[str, int, str]]:
        return self._run("SELECT session_id, version, state::text FROM sessionstore.sessions")

    def quiet(self) -> bool:
        return self._none("state <> 'idle'")

    def left(self) -> bool:
        return self._none("true")

    def _none(self, condition: str) -> bool:
        others = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        ((none,),) = self._run(f"SELECT count(*) = 0 FROM pg_stat_activity WHERE {others} AND {condition}")
        return bool(none)

    def _run(self, query: str, *params: object) -> list[Any]:
        cursor = self._connection.execute(query.encode(), params or None)
        return cursor.fetchall() if cursor.description else []


class SqlitePlace:
    def __init__(self, url: str, connection: sqlite3.Connection) -> None:
        self.url = url
        self._connection = connection

    def keep(self) -> None:
        self._connection.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM sessions")
        for operator, age in _AGING:
            query = f"UPDATE kept SET expires_at = expires_at - ? WHERE session_id {operator} 'old%'"
            self._connection.execute(query, [age // timedelta(microseconds=1)])

    def begin(self, version: int) -> None:
        self._connection.execute("UPDATE kept SET version = ?", [version])
        self._connection.execute("DELETE FROM sessions")
        self._connection.execute("INSERT INTO sessions SELECT * FROM kept")

    def rows(self) -> list[tuple[str, int, str]]:
        return self._connection.execute("SELECT session_id, version, json(state) FROM sessions").fetchall()

    def quiet(self) -> bool:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        self._connection.execute("ROLLBACK")
        return True

    def left(self) -> bool:
        # Going back from the write-ahead log takes the file alone.
        try:
            (mode,) = self._connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlite3.OperationalError:
            return False
        self._connection.execute("PRAGMA journal_mode = WAL")
        return bool(mode == "delete")

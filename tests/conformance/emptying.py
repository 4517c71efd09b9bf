"""Empties databases between tests."""

from __future__ import annotations

from typing import Any

import psycopg

from sessionstore.testing.postgres import Database, dsn


class Emptying:
    """Empties databases through connections that stay open: a new connection takes four times as long as a TRUNCATE."""

    def __init__(self) -> None:
        self._connections: dict[str, psycopg.Connection[Any]] = {}

    def empty(self, database: Database) -> None:
        """Removes all sessions, as Database.empty() does."""
        connection = self._connections.get(database.url)
        if connection is None:
            connection = self._connections[database.url] = psycopg.connect(dsn(database.url), autocommit=True)
            connection.execute("SET lock_timeout = '5s'")
        connection.execute("TRUNCATE sessionstore.sessions")

    def close(self) -> None:
        """Closes the connections."""
        for connection in self._connections.values():
            connection.close()

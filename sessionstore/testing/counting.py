"""Counts the statements that storages send, for tests that promise a number of them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch


class StatementCounter:
    """What the SQL storages of this process sent while the counter ran, in order. A storage in memory sends nothing.

    BEGIN, COMMIT and the questions of a first call to the database are statements too. Make a call before you count.

    Attributes:
        statements: The text of each.
    """

    def __init__(self) -> None:
        self.statements: list[str] = []

    @property
    def count(self) -> int:
        """How many statements were sent."""
        return len(self.statements)

    def reset(self) -> None:
        """Begins to count anew."""
        self.statements.clear()

    @contextmanager
    def running(self) -> Generator[StatementCounter, None, None]:
        """Counts until the block ends."""
        # Here and not above, so that tests on memory do not load SQLAlchemy.
        from ..storage.sql.drivers.driver import Aiosqlite, Asyncpg, Psycopg

        with ExitStack() as patched:
            for driver in (Aiosqlite, Asyncpg, Psycopg):
                for name in ("fetch", "command"):
                    patched.enter_context(patch.object(driver, name, self._counted(getattr(driver, name))))
            yield self

    def _counted(self, run: Callable[..., Any]) -> Callable[..., Any]:
        async def counted(driver: Any, connection: Any, sql: str, *params: Any) -> Any:
            self.statements.append(sql)
            return await run(driver, connection, sql, *params)

        return counted

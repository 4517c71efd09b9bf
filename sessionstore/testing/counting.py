"""Counts the statements that storages send, for tests of how many statements a call takes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch


class StatementCounter:
    """Counts the statements of all SQL storages of this process while it runs. A storage in memory sends none.

    BEGIN and COMMIT count too, and so do the checks of the database in a first call. Make a call before you count.

    Attributes:
        statements: The text of each statement, in the order in which they were sent.
    """

    def __init__(self) -> None:
        self.statements: list[str] = []

    @property
    def count(self) -> int:
        """How many statements were sent."""
        return len(self.statements)

    def reset(self) -> None:
        """Sets the count to zero."""
        self.statements.clear()

    @contextmanager
    def running(self) -> Generator[StatementCounter, None, None]:
        """Counts until the block ends."""
        # Imported here, so that tests with a storage in memory do not load SQLAlchemy.
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

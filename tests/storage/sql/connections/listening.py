"""What a service does to its connections in the events of SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine


def on_connect(engine: AsyncEngine, act: Callable[[Any], object]) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _: object) -> None:
        act(connection)


def run_sql(statement: str) -> Callable[[Any], None]:
    def run(connection: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(statement)
        cursor.close()

    return run

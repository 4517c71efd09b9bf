"""What a service may bring along: its own engine, and a hand in the tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import SchemaError, SessionManager, SqlStorageProvider, migrate
from sessionstore.storage import Key, Window
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import sqlite_url
from sessionstore.testing.support.documents import new_chat


@pytest.fixture(params=["postgresql", "sqlite"])
def service_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        url = sqlite_url(tmp_path / "service.db")
        migrate.upgrade(url)
        return url
    postgres: Database = request.getfixturevalue("postgres")
    return postgres.url


async def test_an_engine_without_a_pool_serves_too_and_is_not_disposed(service_url: str) -> None:
    engine = create_async_engine(service_url, poolclass=NullPool)
    storage = SqlStorageProvider(engine)
    chats = SessionManager(new_chat, storage)
    await chats.create_session("s")
    assert (await chats.get_session("s")).success
    await storage.close()
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar() == 1
    await engine.dispose()


@pytest.mark.parametrize("table", ["sessions", "items"])
async def test_a_dropped_table_has_another_error_than_a_table_that_was_never_made(service_url: str, table: str) -> None:
    engine = create_async_engine(service_url, poolclass=NullPool)
    storage = SqlStorageProvider(engine)
    chats = SessionManager(new_chat, storage)
    await chats.create_session("s")
    place = "" if engine.dialect.name == "sqlite" else "sessionstore."
    async with engine.begin() as connection:
        await connection.execute(text(f"DROP TABLE {place}{table}"))
    with pytest.raises(SchemaError, match=f"its table '{table}' is gone") as raised:
        await storage.get(Key("sessions", "s"), window=Window())
    assert (raised.value.found, raised.value.wanted) == (REVISIONS[-1], REVISIONS[-1])
    await engine.dispose()

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from sessionstore import (
    ConfigurationError,
    MemoryStorageProvider,
    SqlStorageProvider,
    StorageUnavailableError,
    migrate,
    open_storage,
)
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.postgres import Database, PostgresServer
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import ids, key, put


@pytest.fixture
def file(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default file in a working directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    return copied_file(sqlite_template, tmp_path / "sessionstore.db")


async def ids_in(url: str | None, **options: Any) -> list[str]:
    async with open_storage(url, **options) as storage:
        return ids((await storage.list()).sessions)


async def put_into(url: str | None, session_id: str, **options: Any) -> None:
    async with open_storage(url, **options) as storage:
        await put(storage, session_id)


async def test_without_a_url_sessions_are_in_a_file_in_the_working_directory(file: Path) -> None:
    await put_into(None, "s")
    assert await ids_in(sqlite_url(file)) == ["s"]


async def test_without_a_url_the_environment_decides(
    file: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = sqlite_url(copied_file(sqlite_template, file.with_name("elsewhere.db")))
    monkeypatch.setenv("SESSIONSTORE_DATABASE_URL", elsewhere)
    await put_into(None, "s")
    assert await ids_in(elsewhere) == ["s"]
    assert await ids_in(sqlite_url(file)) == []


BLANKS = ["", " ", "\n", "\t \r\n", "\ufeff"]


@pytest.mark.parametrize("blank", BLANKS, ids=ascii)
@pytest.mark.usefixtures("file")
def test_a_url_that_is_there_and_empty_is_refused_by_its_name(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for call in (open_storage, migrate.upgrade, migrate.check, migrate.current, migrate.sql):
        with pytest.raises(ConfigurationError, match="the storage URL is empty"):
            call(blank)
    monkeypatch.setenv("SESSIONSTORE_DATABASE_URL", blank)
    for call in (open_storage, migrate.upgrade, migrate.check, migrate.current, migrate.sql):
        with pytest.raises(ConfigurationError, match="SESSIONSTORE_DATABASE_URL is empty"):
            call()


@pytest.mark.parametrize("blank", BLANKS[:-1], ids=ascii)
def test_a_schema_that_is_there_and_empty_is_refused_by_its_name(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://app@db/app"
    for call in (open_storage, migrate.upgrade):
        with pytest.raises(ConfigurationError, match="the schema is empty"):
            call(url, schema=blank)
    monkeypatch.setenv("SESSIONSTORE_SCHEMA", blank)
    for call in (open_storage, migrate.upgrade):
        with pytest.raises(ConfigurationError, match="SESSIONSTORE_SCHEMA is empty"):
            call(url)


@pytest.mark.parametrize("around", ["{}\n", "  {}", "\t{}\r\n", "\ufeff{}\n"], ids=ascii)
async def test_white_space_around_a_url_does_not_matter(
    file: Path, around: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = around.format(sqlite_url(file))
    migrate.check(url)
    await put_into(url, "s")
    monkeypatch.setenv("SESSIONSTORE_DATABASE_URL", url)
    migrate.check()
    assert await ids_in(None) == ["s"]


@pytest.mark.parametrize("url", [b"sqlite:///s.db", 1, Path("s.db"), make_url("sqlite:///s.db")], ids=repr)
def test_a_url_that_is_no_text_is_refused(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be a str"):
        open_storage(url)


def test_a_url_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONSTORE_DATABASE_URL", "nonsense")
    assert type(open_storage("memory://")) is MemoryStorageProvider


# asyncpg lets the operating system's own error through.
DRIVERS: dict[str, type[Exception]] = {
    "postgres": psycopg.OperationalError,
    "postgresql": psycopg.OperationalError,
    "postgresql+psycopg": psycopg.OperationalError,
    "postgresql+asyncpg": FileNotFoundError,
    "postgresql+psycopg_async": psycopg.OperationalError,
    "PostgreSQL": psycopg.OperationalError,
    "POSTGRESQL+asyncpg": FileNotFoundError,
    "postgres+asyncpg": FileNotFoundError,
    "postgres+psycopg": psycopg.OperationalError,
}


@pytest.mark.parametrize(("scheme", "error"), list(DRIVERS.items()), ids=list(DRIVERS))
async def test_the_scheme_picks_the_driver_which_connects_at_the_first_call(
    scheme: str, error: type[Exception]
) -> None:
    async with open_storage(f"{scheme}://app@/app?host=/nonexistent") as storage:
        assert type(storage) is SqlStorageProvider
        with pytest.raises(StorageUnavailableError) as raised:
            await storage.exists(key())
        assert type(raised.value.__cause__) is error


@pytest.mark.parametrize("scheme", ["sqlite", "SQLite", "sqlite+aiosqlite", "sqlite+pysqlite"])
async def test_a_sqlite_url_needs_no_driver(file: Path, scheme: str) -> None:
    await put_into(f"{scheme}:///sessionstore.db", "s")
    assert await ids_in(f"{scheme}:///{file}") == ["s"]


@pytest.mark.parametrize("url", ["memory://", "MEMORY://"])
async def test_memory_is_a_storage_of_its_own_at_each_opening(url: str) -> None:
    async with open_storage(url) as one, open_storage(url) as other:
        await put(one, "s")
        assert not await other.exists(key())


async def test_a_clock_reaches_memory_and_databases(file: Path, clock: ManualClock) -> None:
    for url in ("memory://", sqlite_url(file)):
        async with open_storage(url, clock=clock) as storage:
            await put(storage, "s")
            found = await storage.get(key())
            assert found is not None
            assert found.summary.created_at == clock()


@pytest.fixture(scope="module")
def two_schemas(server: PostgresServer) -> Iterator[Database]:
    with server.fresh_database() as database:
        yield database.migrate().migrate(schema="Other Schema")


async def test_the_schema_is_an_option_then_of_the_environment_then_sessionstore(
    two_schemas: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = two_schemas.url
    await put_into(url, "by default")
    await put_into(url, "by option", schema="Other Schema")
    monkeypatch.setenv("SESSIONSTORE_SCHEMA", "Other Schema")
    assert await ids_in(url) == ["by option"]
    assert await ids_in(url, schema="sessionstore") == ["by default"]


async def test_a_url_may_say_that_statements_are_prepared(database: Database) -> None:
    database.empty()
    await put_into(f"{database.url}&prepared_statements=true", "s")
    assert await ids_in(database.url, prepared_statements=True) == ["s"]

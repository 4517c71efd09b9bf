from __future__ import annotations

import sqlite3
import sys
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
    register_storage,
)
from sessionstore.storage import open as opening
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.postgres import Database, PostgresServer
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import ids, key, put


@pytest.fixture(autouse=True)
def _registered_only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_FACTORIES", dict(opening._FACTORIES))


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


def refusal_of(url: str, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as raised:
        open_storage(url, **options)
    assert raised.value.__cause__ is None or raised.value.__suppress_context__
    assert "s3cret" not in f"{raised.value!s}{raised.value!r}"
    return str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "s3cret",
        "s3cret:x",
        "sqlite:s3cret",
        "s3cret@db/app",
        "/s3cret/x.db",
        "://s3cret",
        "postgresql:/s3cret@db/app",
        "host=db password=s3cret",
        "psql postgresql://app:s3cret@db/app",
    ],
)
def test_a_url_without_a_scheme_may_be_a_password_and_is_not_echoed(url: str) -> None:
    assert "does not begin with a scheme" in refusal_of(url)


@pytest.mark.parametrize("quote", ["'", '"', "\u201c"])
def test_a_url_in_quotation_marks_has_an_error_that_says_so(quote: str) -> None:
    assert "quotation mark" in refusal_of(f"{quote}postgresql://app:s3cret@db/app{quote}")


def test_a_url_for_java_has_an_error_that_says_so() -> None:
    assert "leave out jdbc:" in refusal_of("jdbc:postgresql://db/app?user=app&password=s3cret")


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg2cffi", "pg8000", "aiopg"])
def test_an_unsupported_driver_is_refused_and_the_supported_ones_are_named(driver: str) -> None:
    for backend in ("postgresql", "postgres"):
        url = f"{backend}+{driver}://app:s3cret@db/app"
        assert "postgresql:// or postgresql+asyncpg://" in refusal_of(url)
        with pytest.raises(ConfigurationError, match="postgresql:// or postgresql"):
            migrate.upgrade(url)


def test_a_driver_of_sqlite_that_is_not_used_is_told() -> None:
    assert "begin the storage URL with sqlite:///" in refusal_of("sqlite+pysqlcipher:///x.db")


@pytest.mark.parametrize("url", ["postgresql://app:s3cret@db:port/app"])
def test_a_url_that_does_not_parse_is_not_echoed(url: str) -> None:
    assert "does not parse" in refusal_of(url)


@pytest.mark.parametrize("scheme", ["mysql", "mysql+asyncmy", "http", "app"])
def test_an_unknown_scheme_is_told_with_those_that_are_known(scheme: str) -> None:
    message = refusal_of(f"{scheme}://app:s3cret@db/app")
    assert f"'{scheme}'" in message
    assert "memory, postgres, postgresql, " in message


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite+aiosqlite://",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///file:x?mode=memory&uri=true",
    ],
)
def test_sqlite_in_memory_is_refused_with_what_to_use_instead(url: str) -> None:
    assert "use memory:// or name a file" in refusal_of(url)


@pytest.mark.parametrize("url", ["memory://s3cret", "memory:///", "memory://?s3cret=1"])
def test_memory_takes_no_host_and_no_path(url: str) -> None:
    assert "takes no host and no path" in refusal_of(url)


def test_an_option_that_nobody_knows_is_told_by_its_name() -> None:
    assert "'schema'" in refusal_of("memory://", schema="sessionstore")
    assert "'poolsize'" in refusal_of("postgresql://app:s3cret@db/app", poolsize=5)


def test_a_missing_driver_is_told_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "asyncpg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    message = refusal_of("postgresql+asyncpg://app:s3cret@db/app")
    assert "'asyncpg'" in message
    assert "pip install 'sessionstore[asyncpg]'" in message


def test_a_registered_factory_gets_the_url_and_the_options() -> None:
    seen: list[tuple[str, dict[str, Any]]] = []
    made = MemoryStorageProvider()

    def factory(url: str, **options: Any) -> MemoryStorageProvider:
        seen.append((url, options))
        return made

    register_storage("Kept+Elsewhere", factory)
    assert open_storage(" kept+ELSEWHERE://ho st/Path?a=%\n", size=3) is made
    assert seen == [("kept+ELSEWHERE://ho st/Path?a=%", {"size": 3})]


@pytest.mark.parametrize("scheme", ["memory", "SQLite", "postgresql+psycopg"])
def test_a_built_in_scheme_can_be_replaced(scheme: str) -> None:
    made = MemoryStorageProvider()
    register_storage(scheme, lambda url: made)
    assert open_storage(f"{scheme.lower()}:///x.db") is made


@pytest.mark.parametrize("scheme", ["", "1st", "a b", "a:b", "a://", "a_b", "\u00e4", "a\n", "+a"])
def test_what_is_no_scheme_cannot_be_registered(scheme: str) -> None:
    with pytest.raises(ConfigurationError, match="is no URL scheme"):
        register_storage(scheme, lambda url: MemoryStorageProvider())


def test_an_installed_package_adds_a_scheme_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere_storage.py").write_text(
        "from sessionstore import MemoryStorageProvider\n"
        "class ElsewhereStorage(MemoryStorageProvider):\n"
        "    def __init__(self, url, **options):\n"
        "        super().__init__()\n"
        "        self.opened = url, options\n"
    )
    installed = tmp_path / "elsewhere_storage-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere-storage\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(
        "[sessionstore.storage]\nelsewhere = elsewhere_storage:ElsewhereStorage\n"
    )
    with pytest.raises(ConfigurationError):
        open_storage("elsewhere://host")
    monkeypatch.syspath_prepend(tmp_path)
    storage: Any = open_storage("Elsewhere://host", size=3)
    assert type(storage).__name__ == "ElsewhereStorage"
    assert storage.opened == ("Elsewhere://host", {"size": 3})


def test_a_sqlite_that_is_too_old_is_told_before_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))
    assert "need 3.38 or newer" in refusal_of("sqlite:///sessionstore.db")


@pytest.mark.parametrize(
    "url", ["postgresql://app@db/app?prepared_statements=perhaps", "sqlite:///s.db?prepared_statements=false"]
)
def test_what_a_url_says_of_prepared_statements_has_to_make_sense(url: str) -> None:
    with pytest.raises(ConfigurationError, match="prepared_statements"):
        open_storage(url)


async def test_a_url_may_say_that_statements_are_prepared(database: Database) -> None:
    database.empty()
    await put_into(f"{database.url}&prepared_statements=true", "s")
    assert await ids_in(database.url, prepared_statements=True) == ["s"]

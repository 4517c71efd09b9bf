"""URLs and options that are refused, with what to use instead and without showing a password."""

from __future__ import annotations

import sqlite3
import sys
from typing import Any

import pytest

from sessionstore import ConfigurationError, migrate, open_storage


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


def test_an_unsupported_driver_of_sqlite_is_refused_with_the_url_to_use() -> None:
    assert "begin the storage URL with sqlite:///" in refusal_of("sqlite+pysqlcipher:///x.db")


@pytest.mark.parametrize("url", ["postgresql://app:s3cret@db:port/app"])
def test_a_url_that_does_not_parse_is_not_echoed(url: str) -> None:
    assert "does not parse" in refusal_of(url)


@pytest.mark.parametrize("scheme", ["mysql", "mysql+asyncmy", "http", "app"])
def test_the_error_of_an_unknown_scheme_names_the_known_schemes(scheme: str) -> None:
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


def test_an_unknown_option_is_refused_by_its_name() -> None:
    assert "'schema'" in refusal_of("memory://", schema="sessionstore")
    assert "'poolsize'" in refusal_of("postgresql://app:s3cret@db/app", poolsize=5)


def test_the_error_of_a_missing_driver_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "asyncpg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    message = refusal_of("postgresql+asyncpg://app:s3cret@db/app")
    assert "'asyncpg'" in message
    assert "pip install 'sessionstore[asyncpg]'" in message


def test_a_sqlite_that_is_too_old_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))
    assert "need 3.38 or newer" in refusal_of("sqlite:///sessionstore.db")


@pytest.mark.parametrize(
    "url", ["postgresql://app@db/app?prepared_statements=perhaps", "sqlite:///s.db?prepared_statements=false"]
)
def test_an_invalid_value_of_prepared_statements_in_a_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="prepared_statements"):
        open_storage(url)

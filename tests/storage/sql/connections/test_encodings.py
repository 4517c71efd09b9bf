"""Texts beyond Latin-1, whatever encoding the role, the environment or the database has."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import ConfigurationError, SessionManager, SqlStorageProvider, open_storage
from sessionstore.testing.postgres import Database, PostgresServer
from sessionstore.testing.support.documents import key
from tests.support.bystander import ask, dsn, set_for_everybody
from tests.support.databases import driven

_SAID = "\U0001f600 \u017elu\u0165ou\u010dk\u00fd"


async def _said(url: str, **options: object) -> object:
    async with open_storage(url, **options) as storage:
        sessions = SessionManager(lambda _: {"said": ""}, storage)
        await sessions.create_session("s")
        await sessions.update_session("s", lambda _: {"said": _SAID})
        return (await sessions.get_session("s")).unwrap()


async def test_our_connections_speak_utf8_whatever_the_role_says(url: str, postgres: Database) -> None:
    set_for_everybody(postgres, "client_encoding = 'LATIN1'")
    assert await _said(url) == {"said": _SAID}


async def test_our_connections_speak_utf8_whatever_the_environment_says(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    assert await _said(url) == {"said": _SAID}


async def test_our_connections_speak_utf8_whatever_the_options_of_the_server_say(postgres: Database) -> None:
    assert await _said(postgres.url, connect_args={"options": "-c client_encoding=latin1"}) == {"said": _SAID}


_FOREIGN = {
    "psycopg": {"client_encoding": "latin1"},
    "asyncpg": {"server_settings": {"client_encoding": "latin1"}},
}


async def test_an_engine_of_the_service_that_speaks_another_encoding_is_refused(url: str, driver: str) -> None:
    engine = create_async_engine(url, connect_args=_FOREIGN[driver])
    storage = SqlStorageProvider(engine)
    with pytest.raises(ConfigurationError, match="the engine's connections use the encoding LATIN1"):
        await storage.get(key())
    await engine.dispose()


async def test_an_engine_of_the_service_that_speaks_no_encoding_is_refused_too(postgres: Database) -> None:
    # psycopg reads bytes then, at which SQLAlchemy fails before anybody sees the connection.
    engine = create_async_engine(
        postgres.url, pool_size=1, max_overflow=0, connect_args={"client_encoding": "sqlascii"}
    )
    storage = SqlStorageProvider(engine)
    for _ in range(3):
        with pytest.raises(ConfigurationError, match="the engine's connections use the encoding SQL_ASCII"):
            await storage.get(key())
    await engine.dispose()
    assert ask(postgres, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") == [(1,)]


async def test_a_connection_that_comes_to_speak_another_encoding_later_is_refused_too(
    url: str, postgres: Database, driver: str
) -> None:
    # As a role's setting does to connections that begin after it; ours are not concerned.
    engine = create_async_engine(driven(url, driver))
    storage = SqlStorageProvider(engine)
    assert await storage.get(key()) is None
    set_for_everybody(postgres, "client_encoding = 'LATIN1'")
    await engine.dispose()
    if driver == "asyncpg":  # it asks for UTF-8 by itself
        assert await storage.get(key()) is None
    else:
        with pytest.raises(ConfigurationError, match="the engine's connections use the encoding LATIN1"):
            await storage.get(key())
    await engine.dispose()


@pytest.mark.parametrize("whose", ["ours", "the service's"])
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_cannot_hold_all_characters_is_refused_at_the_first_call(
    server: PostgresServer, driver: str, encoding: str, whose: str
) -> None:
    name = f"sessionstore_test_{encoding.lower()}_{driver}"
    place = f"ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    url = make_url(server.url).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(dsn(server.url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {place}".encode())
        engine = None if whose == "ours" else create_async_engine(driven(url, driver))
        try:
            async with open_storage(driven(url, driver)) if engine is None else SqlStorageProvider(engine) as storage:
                for _ in range(2):
                    with pytest.raises(ConfigurationError, match=f"keeps texts in {encoding}.*ENCODING 'UTF8'"):
                        await storage.get(key())
        finally:
            if engine is not None:
                await engine.dispose()
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

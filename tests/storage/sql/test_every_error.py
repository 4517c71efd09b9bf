"""Whatever a server, a driver, SQLAlchemy, Python or the event loop raises: only our own errors come out, and discreet.

The server's errors are raised by the server, in a trigger that puts the state into every field. Errors of the drivers
and of Python are raised in place of a driver's answer, on a connection to a real server.
"""

from __future__ import annotations

import inspect
import socket
import sqlite3
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import psycopg
import pytest
import sqlalchemy.exc
from psycopg.errors import _sqlcodes
from pydantic import BaseModel, ValidationError
from sqlalchemy import event
from sqlalchemy.util import greenlet_spawn

from sessionstore import SessionStoreError, SqlStorageProvider, StorageError, UpdateOutcomeUnknownError, open_storage
from sessionstore.storage.sql.faults import code_of, driver_error
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import draft, key, rewrite
from tests.support.bystander import ask
from tests.support.databases import driven
from tests.support.discretion import SECRET, assert_discreet, secretive
from tests.support.opening import in_use, pool_of

Call: TypeAlias = Callable[[SqlStorageProvider], Awaitable[object]]

_STATE = f'{{"said": "{SECRET}"}}'

_RAISING = """
CREATE TABLE public.raised (code text);
INSERT INTO public.raised VALUES ('P0001');
CREATE FUNCTION public.raise_it() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE code text := (SELECT r.code FROM public.raised r);
BEGIN
  IF code = '' THEN RETURN NEW; END IF;
  RAISE EXCEPTION USING ERRCODE = code, MESSAGE = NEW.state::text, DETAIL = NEW.state::text, HINT = NEW.state::text,
    COLUMN = NEW.state::text, CONSTRAINT = NEW.state::text, DATATYPE = NEW.state::text, TABLE = NEW.state::text,
    SCHEMA = NEW.state::text;
END $$;
CREATE TRIGGER raising BEFORE UPDATE ON sessionstore.sessions FOR EACH ROW EXECUTE FUNCTION public.raise_it();
"""
_NO_ERRORS = ("00", "01", "02")
"""Classes of codes for success, warnings and no data."""


async def _update(storage: SqlStorageProvider) -> object:
    document = await storage.get(key("s"), touch=False)
    assert document is not None
    write = rewrite(document, _STATE)
    assert write is not None
    return await storage.update(write)


async def _update_locked(storage: SqlStorageProvider) -> object:
    return await storage.update_locked(key("s"), lambda document: rewrite(document, _STATE))


def _codes() -> list[str]:
    known = {code for code in _sqlcodes if len(code) == 5 and code.isalnum() and code.upper() == code}
    return sorted(code for code in known if not code.startswith(_NO_ERRORS))


async def _came_out(call: Awaitable[object]) -> SessionStoreError | str:
    """The error of our tree that a call raised, or what is wrong with what it raised."""
    try:
        await call
    except SessionStoreError as error:
        try:
            assert_discreet(error)
        except AssertionError:
            return f"{type(error).__name__} tells too much: {error.__cause__!r}"
        return error
    except Exception as error:  # noqa: BLE001  # that is what is looked for
        return f"a raw {type(error).__name__}"
    return "nothing"


async def _works(storage: SqlStorageProvider) -> None:
    """The storage serves as before, and all connections are accounted for."""
    assert (await secretive(storage).get_session("s")).success
    assert in_use(storage) == 0
    assert pool_of(storage).checkedout() <= pool_of(storage).size()


async def test_every_error_of_the_server_becomes_one_of_our_errors_and_quotes_nothing(
    url: str, postgres: Database
) -> None:
    ask(postgres, _RAISING)
    async with open_storage(url, batching=None) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await secretive(storage).create_session("s")
        wrong: list[str] = []
        codes = _codes()
        assert len(codes) > 200
        for code in codes:
            ask(postgres, "UPDATE public.raised SET code = %s", code)
            for call in (_update, _update_locked):
                came = await _came_out(call(storage))
                if isinstance(came, str):
                    wrong.append(f"{code} {call.__name__}: {came}")
                elif not isinstance(came, StorageError | sqlalchemy.exc.SQLAlchemyError) and code not in _SCHEMA_CODES:
                    wrong.append(f"{code} {call.__name__}: {type(came).__name__}")
                elif isinstance(came, StorageError) and getattr(came.__cause__, "sqlstate", code) != code:
                    wrong.append(f"{code} {call.__name__}: the cause has another code")
        assert not wrong, "\n".join(wrong)
        ask(postgres, "UPDATE public.raised SET code = ''")
        await _works(storage)


_SCHEMA_CODES = ("42P01", "3F000", "42703")


class _Model(BaseModel):
    number: int


def _validation_error() -> ValidationError:
    try:
        _Model(number=SECRET)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    except ValidationError as error:
        return error
    raise AssertionError("it was valid")


def _with_cause(error: Exception) -> Exception:
    """Each came from another one, which tells the secret too."""
    error.__cause__ = ValueError(SECRET)
    error.__cause__.__cause__ = KeyError(SECRET)
    return error


_ERRORS = {"psycopg": vars(psycopg.errors), "asyncpg": vars(asyncpg.exceptions), "aiosqlite": vars(sqlite3)}


def _every_error(driver: str) -> list[Exception]:
    """One of each class that may come up out of a driver, all with the secret in them."""
    errors: list[Exception] = [
        UnicodeEncodeError("latin-1", SECRET, 0, 1, "ordinal not in range"),
        UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, "invalid start byte"),
        UnicodeTranslateError(SECRET, 0, 1, "no"),
        KeyError(SECRET),
        RuntimeError("Event loop is closed", SECRET),
        RuntimeError(f"Task got Future <{SECRET}> attached to a different loop"),
        OSError(5, "Input/output error"),
        ConnectionResetError(104, "Connection reset by peer"),
        BrokenPipeError(),
        TimeoutError(),
        socket.gaierror(socket.EAI_AGAIN, "try again"),
        ssl.SSLError(1, "[SSL] internal error"),
        ssl.SSLCertVerificationError(1, "certificate verify failed"),
        _validation_error(),
        ExceptionGroup(SECRET, [ValueError(SECRET)]),
        sqlalchemy.exc.DBAPIError(SECRET, {"state": SECRET}, ValueError(SECRET)),
        sqlalchemy.exc.StatementError(SECRET, SECRET, {"state": SECRET}, ValueError(SECRET)),
        sqlalchemy.exc.OperationalError(SECRET, {"state": SECRET}, psycopg.OperationalError(SECRET)),
    ]
    plain = (
        *(getattr(__import__("builtins"), name) for name in dir(__import__("builtins"))),
        *_ERRORS[driver].values(),
        *vars(sqlalchemy.exc).values(),
    )
    for class_ in dict.fromkeys(filter(inspect.isclass, plain)):
        if not issubclass(class_, Exception) or issubclass(class_, Warning | OSError | ExceptionGroup):
            continue
        try:
            errors.append(class_(SECRET))
        except TypeError:
            continue  # it takes other arguments; the important ones of these are above
    return [_with_cause(error) for error in errors]


@contextmanager
def _raising(storage: SqlStorageProvider, error: Exception, *, sent: bool, method: str) -> Iterator[None]:
    """The driver raises this, before it asks the server or after the server answered."""
    driver: Any = storage._gateway._backend.driver
    real = getattr(driver, method)

    async def raising(connection: Any, sql: str, *params: Any) -> Sequence[Any]:
        if sent:
            await real(connection, sql, *params)
        raise error

    setattr(driver, method, raising)
    try:
        yield
    finally:
        delattr(driver, method)


@pytest.fixture(params=["psycopg", "asyncpg", "sqlite"])
async def storage(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path
) -> AsyncIterator[SqlStorageProvider]:
    if request.param == "sqlite":
        url = sqlite_url(copied_file(sqlite_template, tmp_path / "sessions.db"))
    else:
        postgres: Database = request.getfixturevalue("postgres")
        url = driven(postgres.url, request.param)
    async with open_storage(url, batching=None, pool_size=3) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await secretive(storage).create_session("s")
        yield storage


_READ: Call = lambda storage: storage.get(key("s"), touch=False)  # noqa: E731


@pytest.mark.parametrize(("method", "call"), [("fetch", _READ), ("fetch", _update), ("command", _update_locked)])
@pytest.mark.parametrize("sent", [False, True], ids=["before it is sent", "after it was run"])
async def test_every_error_in_a_call_becomes_one_of_our_errors_and_quotes_nothing(
    storage: SqlStorageProvider, method: str, call: Call, sent: bool
) -> None:
    document = await storage.get(key("s"))
    assert document is not None
    write = rewrite(document, _STATE)
    assert write is not None
    asked: Call = (lambda storage: storage.update(write)) if call is _update else call
    wrong: list[str] = []
    for error in _every_error(storage._gateway._async_engine.dialect.driver):
        with _raising(storage, error, sent=sent, method=method):
            came = await _came_out(asked(storage))
        if isinstance(came, str):
            wrong.append(f"{type(error).__name__}: {came}")
        assert in_use(storage) == 0
    assert not wrong, "\n".join(wrong)
    await _works(storage)


async def test_every_error_of_connecting_becomes_one_of_our_errors_and_quotes_nothing(
    storage: SqlStorageProvider,
) -> None:
    engine = storage._gateway._async_engine.sync_engine
    raised: list[Exception] = []

    @event.listens_for(engine, "do_connect")
    def refuse(*_: object) -> None:
        if raised:
            raise raised[0]

    wrong: list[str] = []
    for error in _every_error(storage._gateway._async_engine.dialect.driver):
        if code_of(error) is not None or isinstance(driver_error(error), psycopg.OperationalError):
            continue  # of the server or of libpq, before they know any state
        raised[:] = [error]
        for lease in storage._gateway.channel.connections._remains.take_all():
            await greenlet_spawn(lease.discard)
        came = await _came_out(_READ(storage))
        if isinstance(came, str):
            wrong.append(f"{type(error).__name__}: {came}")
        assert in_use(storage) == 0
    assert not wrong, "\n".join(wrong)
    raised.clear()
    await _works(storage)


@pytest.mark.parametrize("error", [MemoryError(), RecursionError(), AssertionError()], ids=repr)
async def test_a_write_that_may_have_been_run_when_python_failed_is_unknown(
    storage: SqlStorageProvider, error: Exception
) -> None:
    with _raising(storage, error, sent=True, method="fetch"), pytest.raises(UpdateOutcomeUnknownError):
        await storage.set(draft("new"))
    assert await storage.exists(key("new"))


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_a_parameter_that_cannot_be_sent_is_refused_and_costs_no_connection(
    postgres: Database, driver: str
) -> None:
    async with open_storage(driven(postgres.url, driver), batching=None) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await secretive(storage).create_session("s")
        before = ask(postgres, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        for text in ("a\0", "a\ud800"):
            for call in (storage.get, storage.delete, storage.touch, storage.exists):
                with pytest.raises(StorageError) as raised:
                    await call(key(text))
                assert type(raised.value) is StorageError
        assert ask(postgres, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") == before
        assert storage._gateway.channel.connections.idle == 1

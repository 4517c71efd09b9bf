"""Engines that are tuned for one statement at a time, from a URL."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Final

from sqlalchemy import QueuePool, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ....errors import ConfigurationError
from ..urls.options import IDLE_TIMEOUT, PREPARED, STATEMENT_TIMEOUT, own_options
from ..urls.sockets import SILENCE
from ..urls.url import read_url
from .limits import Limits

CONNECT_SECONDS: Final = 10
BUSY_SECONDS: Final = 30
"""How long SQLite waits for other processes to finish their writes."""


_AUTOCOMMIT: Final = "AUTOCOMMIT"

# Unnamed statements are parsed anew each time, in the round trip in which they run.
_UNPREPARED: Final[Mapping[str, Mapping[str, Any]]] = {
    "psycopg": {"prepare_threshold": None},
    # The last two are for what SQLAlchemy itself asks a new connection.
    "asyncpg": {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    },
}


# SQLAlchemy takes anything here, and fails when the pool is used.
_POOL_NUMBERS: Final[Mapping[str, tuple[Any, int, str]]] = {
    "pool_size": ((int,), 0, "a whole number, 0 for no limit"),
    "max_overflow": ((int,), -1, "a whole number, -1 for no limit"),
    "pool_timeout": ((int, float), 0, "a number of seconds"),
    "pool_recycle": ((int, float), -1, "a number of seconds, -1 for never"),
}


def make_engine(url: str, **options: Any) -> AsyncEngine:
    """The engine of make_bounded_engine()."""
    return make_bounded_engine(url, **options)[0]


def make_bounded_engine(url: str, **options: Any) -> tuple[AsyncEngine, Limits]:
    """Makes an engine in AUTOCOMMIT, for a Gateway to own, and says how long things may take on it.

    Args:
        url: PostgreSQL through psycopg 3 or asyncpg, or SQLite through aiosqlite.
        **options: Our own, see options.py, and what create_async_engine() takes; they win over the
            defaults here.

    Raises:
        ConfigurationError: The driver is missing, or an option does not exist.
    """
    address = read_url(url)
    driver = address.driver
    own = own_options(address.backend, address.own, options)
    prepared = own.get(PREPARED, True)
    timeouts: dict[str, dict[str, Any]] = {
        "psycopg": {"connect_timeout": CONNECT_SECONDS, **SILENCE},
        "asyncpg": {"timeout": CONNECT_SECONDS},
    }
    sqlite: dict[str, Any] = {"timeout": BUSY_SECONDS}
    connect_args: dict[str, Any] = dict(timeouts.get(driver, sqlite))
    if not prepared:
        connect_args |= _UNPREPARED[driver]
    connect_args |= address.connect_args
    options = {name: value for name, value in options.items() if not (name == "isolation_level" and value is None)}
    given = dict(options.pop("connect_args", None) or {})
    if isinstance(settings := given.get("server_settings"), Mapping):
        # Beside those of the URL, which it would put an end to without a word.
        given["server_settings"] = {**address.connect_args.get("server_settings", {}), **settings}
    connect_args |= given
    _refuse(options, connect_args)
    if driver == "psycopg":
        # Also over connect_args. asyncpg asks for it by itself.
        connect_args["client_encoding"] = "utf8"
    try:
        engine = create_async_engine(address.url, connect_args=connect_args, **(_defaults(options) | options))
    except ModuleNotFoundError as error:
        hint = "; pip install 'sessionstore[asyncpg]'" if driver == "asyncpg" else ""
        raise ConfigurationError(f"the driver {driver!r} needs the package {error.name!r}{hint}") from None
    except (SQLAlchemyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"open_storage() was given an option that the engine does not take ({error})"
        ) from None
    if driver == "psycopg" and prepared:
        event.listen(engine.sync_engine, "connect", _speak_utc)
    limits = Limits(
        statement_seconds=own.get(STATEMENT_TIMEOUT, inf),
        idle_seconds=own.get(IDLE_TIMEOUT, inf),
    )
    return engine, limits


def _defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """What create_async_engine() is told where the caller says nothing."""
    defaults: dict[str, Any] = {
        "isolation_level": _AUTOCOMMIT,
        # SQLAlchemy's errors quote parameters, which are states.
        "hide_parameters": True,
    }
    if options.get("pool") is not None:
        return defaults  # that is made already
    # In AUTOCOMMIT there is nothing to roll back; the one operation with a transaction ends it itself.
    defaults["pool_reset_on_return"] = None
    if issubclass(options.get("poolclass") or QueuePool, QueuePool):
        defaults |= {"pool_size": 10, "max_overflow": 0}
    return defaults


def _refuse(options: Mapping[str, Any], connect_args: Mapping[str, Any]) -> None:
    """Refuses what cannot work as SQLAlchemy documents it."""
    execution: Mapping[str, Any] = options.get("execution_options") or {}
    for place, given in (("isolation_level", options), ("execution_options", execution)):
        level = given.get("isolation_level")
        if level is not None and (not isinstance(level, str) or level.upper() != _AUTOCOMMIT):
            raise ConfigurationError(
                f"open_storage() does not take {place} {level!r}: each statement commits by itself, in AUTOCOMMIT; for "
                "another level of single statements, set default_transaction_isolation for the role"
            )
    if execution.get("schema_translate_map"):
        raise ConfigurationError("open_storage() does not take schema_translate_map; name the schema with schema=")
    for name, (kinds, least, wanted) in _POOL_NUMBERS.items():
        value: Any = options.get(name, least)
        if isinstance(value, bool) or not isinstance(value, kinds) or not value >= least:
            raise ConfigurationError(f"{name} of open_storage() must be {wanted}, not {value!r}")
    for name in ("row_factory", "cursor_factory"):
        if name in connect_args:
            raise ConfigurationError(f"open_storage() does not take {name} in connect_args: rows are read by position")


def _speak_utc(connection: Any, _: object) -> None:
    # psycopg gives times in the time zone of the session. To turn each of them into UTC afterwards takes longer than
    # to read all of a row. Not behind a pooler, where others would inherit the setting.
    cursor = connection.cursor()
    cursor.execute("SET TIME ZONE 'UTC'")
    cursor.close()

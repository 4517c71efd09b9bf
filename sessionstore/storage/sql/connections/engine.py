"""Makes an engine from a URL: AUTOCOMMIT, the pool and its size, timeouts and prepared statements."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ....errors import ConfigurationError
from ..urls.options import IDLE_TIMEOUT, PREPARED, STATEMENT_TIMEOUT, own_options
from ..urls.sockets import SILENCE
from ..urls.url import read_url
from .engine_options import check, defaults, refuse
from .limits import Limits

CONNECT_SECONDS: Final = 10
BUSY_SECONDS: Final = 30
"""How many seconds SQLite waits for other processes to finish their writes."""

# With these settings the server keeps no prepared statements. It parses each statement in the round trip that runs it.
_UNPREPARED: Final[Mapping[str, Mapping[str, Any]]] = {
    "psycopg": {"prepare_threshold": None},
    # The last two are for the statements that SQLAlchemy itself runs on a new connection.
    "asyncpg": {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    },
}


def make_engine(url: str, **options: Any) -> AsyncEngine:
    """Returns the engine that make_bounded_engine() makes, without the time limits."""
    return make_bounded_engine(url, **options)[0]


def make_bounded_engine(url: str, **options: Any) -> tuple[AsyncEngine, Limits]:
    """Makes an engine in AUTOCOMMIT that a Gateway will own, and returns it with its time limits.

    Args:
        url: PostgreSQL through psycopg 3 or asyncpg, or SQLite through aiosqlite.
        **options: Our own options, see options.py, and those of create_async_engine(). They override the defaults.

    Raises:
        ConfigurationError: The URL is invalid, the driver is missing, or an option is unknown or has a wrong value.
    """
    address = read_url(url)
    driver = address.driver
    own = own_options(address.backend, address.own, options)
    prepared = own.get(PREPARED, True)
    timeouts: dict[str, dict[str, Any]] = {
        "psycopg": {"connect_timeout": CONNECT_SECONDS, **SILENCE},
        # By default, asyncpg keeps no statement of more than 15 KiB, and the server parses and plans it at each call.
        "asyncpg": {"timeout": CONNECT_SECONDS, "max_cacheable_statement_size": 0},
    }
    sqlite: dict[str, Any] = {"timeout": BUSY_SECONDS}
    connect_args: dict[str, Any] = dict(timeouts.get(driver, sqlite))
    if not prepared:
        connect_args |= _UNPREPARED[driver]
    connect_args |= address.connect_args
    options = {name: value for name, value in options.items() if not (name == "isolation_level" and value is None)}
    check(options)
    given = dict(options.pop("connect_args", None) or {})
    if isinstance(settings := given.get("server_settings"), Mapping):
        # Merged with the settings of the URL, which connect_args alone would silently replace.
        given["server_settings"] = {**address.connect_args.get("server_settings", {}), **settings}
    connect_args |= given
    refuse(options, connect_args)
    if driver == "psycopg":
        # Overrides the caller's connect_args. asyncpg needs no such setting: it always asks for UTF-8.
        connect_args["client_encoding"] = "utf8"
    try:
        engine = create_async_engine(address.url, connect_args=connect_args, **(defaults(options) | options))
    except ModuleNotFoundError as error:
        hint = "; pip install 'sessionstore[asyncpg]'" if driver == "asyncpg" else ""
        raise ConfigurationError(f"the driver {driver!r} needs the package {error.name!r}{hint}") from None
    except Exception as error:  # noqa: BLE001  # create_async_engine() only reads options, so the error is about one
        raise ConfigurationError(
            f"open_storage() was given an option that the engine does not take ({type(error).__name__}: {error}); "
            f"the given options are {', '.join(sorted(options))}"
        ) from None
    if driver == "psycopg" and prepared:
        event.listen(engine.sync_engine, "connect", _speak_utc)
    limits = Limits(
        statement_seconds=own.get(STATEMENT_TIMEOUT, inf),
        idle_seconds=own.get(IDLE_TIMEOUT, inf),
    )
    return engine, limits


def _speak_utc(connection: Any, _: object) -> None:
    # psycopg returns times in the time zone of the server's session. Converting each time to UTC takes longer than
    # reading the whole row. Behind a pooler, this is not set, because other clients would inherit the setting.
    cursor = connection.cursor()
    cursor.execute("SET TIME ZONE 'UTC'")
    cursor.close()

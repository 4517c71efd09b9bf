"""The URL of a database: which driver it names, and what it says to us and not to the driver."""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ...errors import ConfigurationError

_DRIVERS: Final = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "sqlite": "sqlite+aiosqlite",
}

# The first with "->" and "->>", by which a batch is taken apart.
_OLDEST_SQLITE: Final = (3, 38)

PREPARED: Final = "prepared_statements"
"""The option, of a URL or of open_storage(), that says whether statements may be prepared on a connection."""

_BOOLEANS: Final = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}


def parse_url(url: str) -> URL:
    """Returns the URL with its driver named, and with every option but ours.

    Raises:
        ConfigurationError: It is none, or names a database that nothing but this process could see; or this Python's
            SQLite is too old.
    """
    return _parsed(url).difference_update_query([PREPARED])


def prepares(url: str) -> bool:
    """Whether the URL lets statements be prepared, which is not so behind a pooler in transaction mode.

    Raises:
        ConfigurationError: It says neither yes nor no, or it is no PostgreSQL.
    """
    parsed = _parsed(url)
    said = parsed.query.get(PREPARED)
    if said is None:
        return True
    if parsed.get_backend_name() != "postgresql":
        raise ConfigurationError(f"{PREPARED} is an option of PostgreSQL's URLs, where a pooler may need it")
    answer = _BOOLEANS.get(said.lower()) if isinstance(said, str) else None
    if answer is None:
        raise ConfigurationError(f"{PREPARED} in the storage URL is true or false")
    return answer


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Neither the text nor the parser's message: a URL that does not parse often is a password that was not escaped.
        raise ConfigurationError(
            "the storage URL does not parse; it should look like postgresql://user:password@host/database, "
            "with special characters of the password percent-encoded"
        ) from None
    driver = parsed.drivername.lower()
    parsed = parsed.set(drivername=_DRIVERS.get(driver, driver))
    if parsed.get_backend_name() == "sqlite":
        _check_sqlite(parsed)
    return parsed


def _check_sqlite(url: URL) -> None:
    if not url.database or ":memory:" in url.database or url.query.get("mode") == "memory":
        raise ConfigurationError("a SQLite database in memory has no migrated tables; use memory:// or name a file")
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise ConfigurationError(
            f"this Python has SQLite {sqlite3.sqlite_version}, and sessions need 3.38 or newer; use another Python"
        )

"""The URL of a database: which driver it names, and what it says to us and not to the driver."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ...errors import ConfigurationError
from .options import OPTIONS

_DRIVERS: Final = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "sqlite": "sqlite+aiosqlite",
}

# The first with "->" and "->>", by which a batch is taken apart.
_OLDEST_SQLITE: Final = (3, 38)


@dataclass(frozen=True, slots=True)
class Address:
    """What the URL of a database says.

    Attributes:
        url: For create_async_engine(), with the driver named.
        connect_args: For the driver's connect(), over our defaults and under what open_storage() is given.
        own: Our options, as they stand in the URL; own_options() reads them.
    """

    url: URL
    connect_args: Mapping[str, Any] = field(repr=False)
    own: Mapping[str, object] = field(repr=False)

    @property
    def backend(self) -> str:
        """The name of the database."""
        return self.url.get_backend_name()

    @property
    def driver(self) -> str:
        """The name of the driver."""
        return self.url.get_driver_name()


def read_url(text: str) -> Address:
    """Reads the URL of a database.

    Raises:
        ConfigurationError: It is none, or names a database that nothing but this process could see; or this Python's
            SQLite is too old.
    """
    parsed = _parsed(text)
    own = {name: value for name, value in parsed.query.items() if name in OPTIONS}
    return Address(parsed.difference_update_query(own), {}, own)


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

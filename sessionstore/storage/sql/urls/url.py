"""Reads the URL of a database: chooses the driver, and separates the library's own options from the driver's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import URL

from ....config import driver_advice
from ....errors import ConfigurationError
from .asyncpg import asyncpg_arguments
from .environment import add_from_environment
from .libpq import read_place
from .options import OPTIONS
from .psycopg import psycopg_arguments
from .sqlite import read_sqlite_url

DRIVERS: Final[Mapping[str, str]] = {
    "postgres": "postgresql+psycopg",
    "postgres+asyncpg": "postgresql+asyncpg",
    "postgres+psycopg": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "postgresql+psycopg_async": "postgresql+psycopg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "sqlite+pysqlite": "sqlite+aiosqlite",
}
"""The driver for each scheme. The schemes include SQLAlchemy's."""


@dataclass(frozen=True, slots=True)
class Address:
    """The content of a database URL.

    Attributes:
        url: The URL for create_async_engine(), with the name of the driver.
        connect_args: Arguments for the driver's connect(). They override the defaults, and the arguments of
            open_storage() override them.
        own: The library's own options, as text; own_options() reads them.
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


def read_url(text: str, *, synchronous: bool = False) -> Address:
    """Reads the URL of a database.

    Args:
        text: The URL.
        synchronous: Whether the URL is for create_engine() and not for create_async_engine(). Chooses psycopg or
            sqlite3 as the driver.

    Raises:
        ConfigurationError: The URL is invalid, asks for something that the driver does not support, or names a
            database in memory; or this Python's SQLite is too old.
    """
    scheme, _, rest = text.strip().partition("://")
    driver = DRIVERS.get(scheme.lower())
    if driver is None:
        elsewhere = f"a storage with the scheme {scheme.lower()!a} has no tables; name a PostgreSQL or SQLite database"
        raise ConfigurationError(driver_advice(scheme) or elsewhere)
    if driver.startswith("sqlite"):
        return Address(*read_sqlite_url(f"{'sqlite' if synchronous else driver}://{rest}"))
    if synchronous:
        driver = DRIVERS["postgresql"]
    place = read_place(rest, OPTIONS.keys())
    if len(place.hosts) > 1:
        # One of several hosts accepts writes. libpq's default takes the first that answers, which may be a standby.
        add_from_environment(place.parameters, "target_session_attrs")
        place.parameters.setdefault("target_session_attrs", "read-write")
    arguments = (asyncpg_arguments if driver.endswith("asyncpg") else psycopg_arguments)(place)
    # The URL only describes the engine. The driver connects with the arguments.
    ((host, port),) = place.hosts if len(place.hosts) == 1 else [("", "")]
    url = URL.create(driver, place.parameters.get("user"), None, host or None, int(port) if port else None)
    return Address(url.set(database=place.parameters.get("dbname")), arguments, place.own)

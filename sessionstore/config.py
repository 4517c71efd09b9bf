"""Reads settings from the environment (the storage URL, the schema and the TTL), and checks durations."""

from __future__ import annotations

import os
import re
from datetime import timedelta

from .errors import ConfigurationError
from .ids import fault_of

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-_]*)://")
"""The scheme of a URL. RFC 3986 does not allow "_", but SQLAlchemy's names of drivers contain it."""

DEFAULT_DATABASE_URL = "sqlite+aiosqlite:///sessionstore.db"
DEFAULT_SCHEMA = "sessionstore"

# PostgreSQL multiplies intervals as doubles. Doubles are exact up to 2**53 microseconds, which are 104,249 days.
MAX_DURATION = timedelta(days=100_000)


def database_url(url: str | None = None) -> str:
    """Returns the argument, else ``SESSIONSTORE_DATABASE_URL``, else a SQLite file in the working directory.

    White space around the URL is removed, such as the line break at the end of a secrets file.

    Raises:
        ConfigurationError: The URL is empty, or does not begin with a scheme.
    """
    given = _given(url, "SESSIONSTORE_DATABASE_URL", "the storage URL")
    if given is None:
        return DEFAULT_DATABASE_URL
    text, name = given
    # A secrets file that was written on Windows may begin with a byte order mark.
    text = text.strip().strip("\ufeff").strip()
    if not text:
        raise _empty(name)
    # The messages show no part of the text, because it may be a password in the wrong variable.
    if text[0] in "\"'`\u2018\u2019\u201c\u201d":
        raise ConfigurationError(f"{name} begins with a quotation mark: remove the quotation marks around the URL")
    if text.lower().startswith("jdbc:"):
        raise ConfigurationError(
            f"{name} is a JDBC URL: leave out jdbc:, and put user and password before the host, as in "
            "postgresql://user:password@host/database"
        )
    if not SCHEME.match(text):
        raise ConfigurationError(
            f"{name} does not begin with a scheme; it should look like postgresql://user@host/database or sqlite:///file.db"
        )
    return text


def driver_advice(scheme: str) -> str | None:
    """Returns advice for a scheme that names an unsupported driver of PostgreSQL or SQLite; None: for other schemes."""
    backend, _, driver = scheme.lower().partition("+")
    if driver and backend in ("postgres", "postgresql"):
        return (
            f"PostgreSQL is reached through psycopg 3 and asyncpg, not through {driver!a}: begin the storage URL with "
            "postgresql:// or postgresql+asyncpg://"
        )
    if driver and backend == "sqlite":
        return f"SQLite is reached through aiosqlite, not through {driver!a}: begin the storage URL with sqlite:///"
    return None


def schema_name(schema: str | None = None) -> str:
    """Returns the argument, else ``SESSIONSTORE_SCHEMA``, else "sessionstore".

    Raises:
        ConfigurationError: The name is empty, too long, or holds a character that does not work everywhere.
    """
    name, source = _given(schema, "SESSIONSTORE_SCHEMA", "the schema") or (DEFAULT_SCHEMA, "")
    if not name.strip():
        raise _empty(source)
    # PostgreSQL silently cuts identifiers at 63 bytes (manual, 4.1.1), which could make two schemas one.
    # "%", ":" and "$" have a special meaning in drivers, in SQLAlchemy's texts and in PostgreSQL's quotes.
    if fault_of(name) or len(name.encode()) > 63 or any(sign in name for sign in "%:$"):
        shown = ascii(name)[:80]
        raise ConfigurationError(
            f"the schema {shown} cannot be used: a name has at most 63 bytes, no control characters, and no % : $"
        )
    return name


def session_ttl(default: timedelta | None) -> timedelta | None:
    """Returns ``SESSION_TTL_SECONDS`` if it is set (0: sessions never expire), else the default.

    Raises:
        ConfigurationError: The setting is no whole number of seconds, or too large.
    """
    text = os.environ.get("SESSION_TTL_SECONDS")
    if text is None:
        return default
    if not text:
        raise _empty("SESSION_TTL_SECONDS")
    if not (text.isascii() and text.isdigit() and len(text) < 12) or int(text) > MAX_DURATION.total_seconds():
        raise ConfigurationError(
            f"SESSION_TTL_SECONDS is {ascii(text)[:40]}: give whole seconds, or 0 for sessions that never expire"
        )
    return timedelta(seconds=int(text)) or None


def check_duration(duration: timedelta | None, name: str) -> timedelta | None:
    """Returns the duration; None: there is no limit.

    Raises:
        ConfigurationError: The duration is no timedelta, not positive, or longer than MAX_DURATION.
    """
    if duration is None:
        return None
    if not isinstance(duration, timedelta):
        raise ConfigurationError(f"{name} must be a timedelta or None, not {type(duration).__name__}")
    if duration <= timedelta(0):
        raise ConfigurationError(f"{name} must be positive, not {duration}; None means that there is no limit")
    if duration > MAX_DURATION:
        raise ConfigurationError(f"{name} must be at most {MAX_DURATION.days} days; None means that there is no limit")
    return duration


def _given(value: str | None, variable: str, name: str) -> tuple[str, str] | None:
    """Returns the argument or else the environment variable, with its name for messages; None: both are missing."""
    if value is not None:
        if not isinstance(value, str):
            raise ConfigurationError(f"{name} must be a str or None, not {type(value).__name__}")
        return value, name
    found = os.environ.get(variable)
    return None if found is None else (found, variable)


def _empty(name: str) -> ConfigurationError:
    # An empty value does not count as missing, because the default would silently lead to another database.
    return ConfigurationError(
        f"{name} is empty (was a secret not filled in?): give it a value, or leave it out to use the default"
    )

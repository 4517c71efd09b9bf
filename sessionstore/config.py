"""Settings from the environment, read when they are needed and nowhere else."""

from __future__ import annotations

import os
from datetime import timedelta

from .errors import ConfigurationError
from .ids import fault_of

DEFAULT_DATABASE_URL = "sqlite+aiosqlite:///sessionstore.db"
DEFAULT_SCHEMA = "sessionstore"

# PostgreSQL multiplies intervals as doubles, which count single microseconds up to 2**53 of them: 104,249 days.
MAX_DURATION = timedelta(days=100_000)


def database_url(url: str | None = None) -> str:
    """The URL given, else ``SESSIONSTORE_DATABASE_URL``, else a SQLite file in the working directory."""
    return url or os.environ.get("SESSIONSTORE_DATABASE_URL") or DEFAULT_DATABASE_URL


def schema_name(schema: str | None = None) -> str:
    """The PostgreSQL schema given, else ``SESSIONSTORE_SCHEMA``, else "sessionstore"."""
    name = schema or os.environ.get("SESSIONSTORE_SCHEMA") or DEFAULT_SCHEMA
    # 63 bytes is where PostgreSQL silently cuts an identifier (manual, 4.1.1), which would make two schemas one.
    # "%", ":" and "$" have a meaning of their own in drivers, in SQLAlchemy's texts and in PostgreSQL's quotes.
    if fault_of(name) or len(name.encode()) > 63 or any(sign in name for sign in "%:$"):
        shown = ascii(name)[:80]
        raise ConfigurationError(f"schema {shown} cannot be used: at most 63 bytes, no control characters, no % : $")
    return name


def session_ttl(default: timedelta | None) -> timedelta | None:
    """``SESSION_TTL_SECONDS`` where it is set (0: never expires), else the default."""
    text = os.environ.get("SESSION_TTL_SECONDS")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 12) or int(text) > MAX_DURATION.total_seconds():
        raise ConfigurationError(
            f"SESSION_TTL_SECONDS is {ascii(text)[:40]}: give whole seconds, or 0 for sessions that never expire"
        )
    return timedelta(seconds=int(text)) or None


def check_duration(duration: timedelta | None, name: str) -> timedelta | None:
    """Returns the duration, or raises ConfigurationError where it is none that a session could live."""
    if duration is None:
        return None
    if not isinstance(duration, timedelta):
        raise ConfigurationError(f"{name} must be a timedelta or None, not {type(duration).__name__}")
    if duration <= timedelta(0):
        raise ConfigurationError(f"{name} must be positive, not {duration}; None means that there is no limit")
    if duration > MAX_DURATION:
        raise ConfigurationError(f"{name} must be at most {MAX_DURATION.days} days; None means that there is no limit")
    return duration

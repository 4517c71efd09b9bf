"""The storage factory: from a URL to the provider that its scheme names."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Final, TypeAlias, cast

from .. import config
from ..errors import ConfigurationError
from . import StorageProvider
from .memory import MemoryStorageProvider

StorageFactory: TypeAlias = Callable[..., StorageProvider]
"""Called with the URL and the options of open_storage(); must not connect yet."""

ENTRY_POINT_GROUP: Final = "sessionstore.storage"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")


def open_storage(url: str | None = None, **options: Any) -> StorageProvider:
    """Opens the storage that a URL names. It connects at its first call; ``async with`` or ``close()`` ends it.

    ``postgresql://`` and ``postgres://`` mean psycopg 3; ``postgresql+asyncpg://`` needs asyncpg installed;
    ``sqlite+aiosqlite:///file.db`` is a SQLite file; ``memory://`` lives in this process. Others come from
    register_storage() and from the entry points of the group ``sessionstore.storage``.

    Args:
        url: None: ``SESSIONSTORE_DATABASE_URL``, else a SQLite file "sessionstore.db" in the working directory. White
            space around it does not matter; an empty one is refused.
        **options: For the provider: ``clock`` and ``batching``; for SQL also ``schema``, ``prepared_statements``
            (False: behind a pooler in transaction mode; ``?prepared_statements=false`` in the URL says the same), and
            what ``create_async_engine()`` takes.

    Raises:
        ConfigurationError: No provider has this scheme, a driver is missing, or the URL or an option cannot work.
    """
    url = config.database_url(url)
    scheme = url.partition("://")[0].lower()
    factory = _FACTORIES.get(scheme) or _from_entry_point(scheme)
    if factory is None:
        raise ConfigurationError(_unknown(scheme))
    return factory(url, **options)


def register_storage(scheme: str, factory: StorageFactory) -> None:
    """Makes open_storage() use this factory for URLs of this scheme, also in place of a built-in one.

    Raises:
        ConfigurationError: The scheme is none (RFC 3986: a letter, then letters, digits, "+", "-", ".").
    """
    if not _SCHEME.fullmatch(f"{scheme}://"):
        raise ConfigurationError(f"{scheme!a} is no URL scheme: a letter, then letters, digits, '+', '-' or '.'")
    _FACTORIES[scheme.lower()] = factory


def _open_memory(url: str, **options: Any) -> StorageProvider:
    if url.lower() != "memory://":
        raise ConfigurationError("memory:// takes no host and no path: each opening is a storage of its own")
    if unknown := sorted(options.keys() - {"clock", "batching"}):
        raise ConfigurationError(f"memory:// does not know the option {unknown[0]!r}; it takes clock and batching")
    return MemoryStorageProvider(**options)


def _open_sql(url: str, **options: Any) -> StorageProvider:
    from .sql import open_sql  # imported only here, so that a service on memory:// does not load SQLAlchemy

    return open_sql(url, **options)


def _unknown(scheme: str) -> str:
    known = ", ".join(sorted(name for name in _FACTORIES if not name.startswith("postgres+")))
    advice = config.driver_advice(scheme)
    return f"no storage provider for the scheme {scheme!a}{f': {advice}' if advice else ''}; known are {known}"


def _from_entry_point(scheme: str) -> StorageFactory | None:
    for entry_point in entry_points(group=ENTRY_POINT_GROUP, name=scheme):
        return cast("StorageFactory", entry_point.load())
    return None


_FACTORIES: dict[str, StorageFactory] = {
    "memory": _open_memory,
    "postgres": _open_sql,
    "postgres+asyncpg": _open_sql,
    "postgres+psycopg": _open_sql,
    "postgresql": _open_sql,
    "postgresql+psycopg": _open_sql,
    "postgresql+psycopg_async": _open_sql,
    "postgresql+asyncpg": _open_sql,
    "sqlite": _open_sql,
    "sqlite+aiosqlite": _open_sql,
    "sqlite+pysqlite": _open_sql,
}

"""The storage factory: opens the provider that the scheme of a URL names."""

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
"""Called with the URL and the options of open_storage(). Must not connect: the provider connects at its first call."""

ENTRY_POINT_GROUP: Final = "sessionstore.storage"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")


def open_storage(url: str | None = None, **options: Any) -> StorageProvider:
    """Opens the storage that a URL names.

    The storage connects at its first call. Close it with ``close()``, or use it in ``async with``.

    ``postgresql://`` and ``postgres://`` use psycopg 3. ``postgresql+asyncpg://`` uses asyncpg, which must be
    installed. ``sqlite+aiosqlite:///file.db`` opens a SQLite file. ``memory://`` keeps sessions in this process. More
    schemes come from register_storage() and from entry points of the group ``sessionstore.storage``.

    Args:
        url: The URL; None: the environment variable ``SESSIONSTORE_DATABASE_URL``, else a SQLite file "sessionstore.db"
            in the working directory. Surrounding white space is ignored.
        **options: For the provider: ``clock`` and ``batching``. For PostgreSQL and SQLite also ``schema``,
            ``prepared_statements`` (False: for a pooler in transaction mode, as ``?prepared_statements=false`` in the
            URL), and the arguments of ``create_async_engine()``.

    Raises:
        ConfigurationError: The URL is empty or invalid, no provider has its scheme, a driver is missing, or an option
            is unknown or invalid.
    """
    url = config.database_url(url)
    scheme = url.partition("://")[0].lower()
    factory = _FACTORIES.get(scheme) or _from_entry_point(scheme)
    if factory is None:
        raise ConfigurationError(_unknown(scheme))
    return factory(url, **options)


def register_storage(scheme: str, factory: StorageFactory) -> None:
    """Makes open_storage() use this factory for URLs of this scheme. Replaces an earlier or built-in factory.

    Raises:
        ConfigurationError: The text is no URL scheme (RFC 3986: a letter, then letters, digits, "+", "-", ".").
    """
    if not _SCHEME.fullmatch(f"{scheme}://"):
        raise ConfigurationError(
            f"{scheme!a} is no URL scheme; a scheme is a letter, then letters, digits, '+', '-' or '.'"
        )
    _FACTORIES[scheme.lower()] = factory


def _open_memory(url: str, **options: Any) -> StorageProvider:
    if url.lower() != "memory://":
        raise ConfigurationError(
            "memory:// takes no host and no path, because each open_storage() makes a storage of its own"
        )
    if unknown := sorted(options.keys() - {"clock", "batching"}):
        raise ConfigurationError(f"memory:// has no option {unknown[0]!r}; its options are clock and batching")
    return MemoryStorageProvider(**options)


def _open_sql(url: str, **options: Any) -> StorageProvider:
    from .sql import open_sql  # a local import, so that a service on memory:// does not load SQLAlchemy

    return open_sql(url, **options)


def _unknown(scheme: str) -> str:
    known = ", ".join(sorted(name for name in _FACTORIES if not name.startswith("postgres+")))
    advice = config.driver_advice(scheme)
    return f"no storage provider has the scheme {scheme!a}{f': {advice}' if advice else ''}; known schemes are {known}"


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

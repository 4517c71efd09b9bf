"""open_storage(), for programs without asyncio."""

from __future__ import annotations

from typing import Any

from ...storage import open as asynchronous
from .provider import StorageProvider


def open_storage(url: str | None = None, **options: Any) -> StorageProvider:
    """Opens the storage that a URL names.

    The storage connects at its first call. Close it with ``close()``, or use it in ``with``.

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
    return StorageProvider(asynchronous.open_storage(url, **options))

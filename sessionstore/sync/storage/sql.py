"""SqlStorageProvider, for programs without asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...batching import Batching
from ...storage.records import Clock
from ...storage.sql import SqlStorageProvider as AsyncSqlStorageProvider
from .provider import StorageProvider

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_BATCHING: Final = Batching()


class SqlStorageProvider(StorageProvider):
    """Stores sessions in PostgreSQL or SQLite, in the tables that the migrations make.

    A call takes one round trip, or two if it has to move an expiry. No transaction stays open between calls. The
    first call checks that the schema has the revision that this version of the library needs.

    Args:
        engine: The service's own engine, for PostgreSQL or SQLite. close() does not dispose it. open_storage() makes
            an engine with suitable settings instead.
        schema: The PostgreSQL schema of the tables; None: the environment variable ``SESSIONSTORE_SCHEMA``, else
            "sessionstore". SQLite has no schemas.
        clock: Returns the current time as an aware datetime in UTC; None: the database's clock.
        batching: How concurrent calls are batched; None: each call is sent by itself.

    Raises:
        ConfigurationError: The engine is for another database, or the schema name is invalid.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        schema: str | None = None,
        clock: Clock | None = None,
        batching: Batching | None = _BATCHING,
    ) -> None:
        super().__init__(AsyncSqlStorageProvider(engine, schema=schema, clock=clock, batching=batching))

"""What is to be migrated: a database, the schema in it, and how long to wait for others."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import URL, MetaData
from sqlalchemy.sql.ddl import CreateSchema

from .. import config
from ..storage.sql.tables import VERSION_TABLE, deletions_table, sessions_table
from ..storage.sql.urls.options import PREPARED, own_options
from ..storage.sql.urls.sqlite import file_of
from ..storage.sql.urls.url import read_url
from .waits import LockWait


@dataclass(frozen=True, slots=True)
class Target:
    """A database and the schema in it that is to be migrated.

    Attributes:
        url: For create_engine().
        connect_args: For the driver.
        schema: Where the tables are in PostgreSQL; None: SQLite.
        lock_wait: How long others are waited for.
        pooled: Whether the URL leads to a pooler.
    """

    url: URL
    connect_args: Mapping[str, Any] = field(repr=False)
    schema: str | None
    lock_wait: LockWait
    pooled: bool = False

    @classmethod
    def of(cls, url: str | None, schema: str | None, lock_timeout: timedelta | None = None) -> Target:
        """From what was given, else from the environment.

        Raises:
            ConfigurationError: Something of it cannot work.
        """
        address = read_url(config.database_url(url), synchronous=True)
        sqlite = address.backend == "sqlite"
        named = None if sqlite else config.schema_name(schema)
        prepared = own_options(address.backend, address.own, {}).get(PREPARED, True)
        lock_wait = LockWait.of(lock_timeout, sqlite=sqlite)
        return cls(address.url, address.connect_args, named, lock_wait, pooled=not prepared)

    @classmethod
    def from_environment(cls) -> Target:
        """``SESSIONSTORE_DATABASE_URL`` and ``SESSIONSTORE_SCHEMA``, or their defaults."""
        return cls.of(None, None)

    @property
    def file(self) -> Path | None:
        """The file of SQLite."""
        return file_of(self.url) if self.schema is None else None

    @property
    def place(self) -> str:
        """What to call it in a message."""
        return f"the SQLite file {str(self.file)!r}" if self.schema is None else f"schema {self.schema!r}"

    @property
    def option(self) -> str:
        """What the command has to be given so that it means this schema."""
        return "" if self.schema in (None, config.DEFAULT_SCHEMA) else f" --schema {shlex.quote(str(self.schema))}"

    @property
    def version_table(self) -> str:
        return VERSION_TABLE

    def metadata(self) -> MetaData:
        """The tables that there should be."""
        metadata = MetaData(schema=self.schema)
        sessions_table(metadata, sqlite=self.schema is None)
        if self.schema is not None:
            deletions_table(metadata)
        return metadata

    def includes(self, name: str | None, kind: str, parents: Any) -> bool:
        """Whether a thing in the database is ours, so that Alembic's comparison drops no other."""
        if kind == "schema":
            return name == self.schema
        return kind != "table" or name in {table.name for table in self.metadata().tables.values()}

    def preparing(self) -> Iterator[Any]:
        """What has to be there before the first revision, for a script."""
        if self.schema is not None:
            yield CreateSchema(self.schema, if_not_exists=True)

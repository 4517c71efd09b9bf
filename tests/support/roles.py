"""A deployment with roles: an owner of the tables, and those that only got what `migrate grants` prints."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from sessionstore import StorageProvider, migrate, open_storage
from sessionstore.storage import Clock
from sessionstore.storage.sql.privileges import quoted
from sessionstore.testing.postgres import Database, PostgresServer, dsn

from .bystander import PASSWORD

SCHEMA = "sessionstore"

NO_DDL = (
    """
    CREATE FUNCTION public.refuse_ddl() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'outside of a migration: %', tg_tag; END $$
    """,
    "CREATE EVENT TRIGGER refuse_ddl ON ddl_command_start EXECUTE FUNCTION public.refuse_ddl()",
)
"""From then on every statement is refused that makes, alters or drops something, whoever sends it."""


@dataclass(frozen=True)
class Deployment:
    """A migrated database and its roles. Their names need quotes.

    Attributes:
        database: The database, by the server's own role.
        schema: The schema of the tables.
        mark: What the names of the roles have in common.
    """

    database: Database
    schema: str
    mark: str

    def role(self, use: str) -> str:
        """The name of the role: "owner", "service", "reaper" or "readonly"."""
        return f'{use} "of" {self.mark}'

    def url(self, use: str, driver: str = "psycopg") -> str:
        """The URL by which a role comes in."""
        url = make_url(self.database.url).set(
            drivername=f"postgresql+{driver}", username=self.role(use), password=PASSWORD
        )
        return url.render_as_string(hide_password=False)

    def execute(self, *statements: str, use: str | None = None) -> None:
        """Runs statements as a role; None: as the server's own. "{service}" is the name of a role, in quotes."""
        names = {use: quoted(self.role(use)) for use in ("owner", "service", "reaper", "readonly")}
        with self.connected(use) as connection:
            for statement in statements:
                connection.execute(statement.format(schema=quoted(self.schema), **names).encode())

    def grant(self) -> None:
        """Grants as the owner what is printed for the three roles."""
        script = migrate.grants(
            schema=self.schema,
            service=self.role("service"),
            reaper=self.role("reaper"),
            readonly=self.role("readonly"),
        )
        with self.connected("owner") as connection:
            connection.execute(script.encode())

    def connected(self, use: str | None = None) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of a role, which commits each statement; None: of the server's own role."""
        who: dict[str, Any] = {} if use is None else {"user": self.role(use), "password": PASSWORD}
        return psycopg.connect(dsn(self.database.url), autocommit=True, **who)

    def divide(self, storage: StorageProvider, clock: Clock) -> None:
        """Lets the reaper's role do the reaper's calls of a service's storage, and the one that reads look at it."""
        reaper, reader = (
            open_storage(self.url(use), schema=self.schema, clock=clock) for use in ("reaper", "readonly")
        )
        for by, names in ((reaper, _REAPING), (reader, _READING)):
            for name in names:
                setattr(storage, name, getattr(by, name))
        close = storage.close

        async def close_all() -> None:
            for each in (close, reaper.close, reader.close):
                await each()

        setattr(storage, "close", close_all)  # noqa: B010  # mypy takes no assignment to a method


_REAPING = ("purge_batch", "count_expired")
_READING = ("list", "stats", "find_many", "exists_many")


@contextmanager
def deployment(server: PostgresServer, *, schema: str = SCHEMA) -> Iterator[Deployment]:
    """A database whose tables belong to a role that may not make schemas. The others have what is printed for them."""
    mark = secrets.token_hex(6)
    with _roles(server, mark), server.fresh_database() as database:
        made = Deployment(database, schema, mark)
        made.execute("CREATE SCHEMA {schema} AUTHORIZATION {owner}")
        migrate.upgrade(made.url("owner"), schema=schema)
        made.grant()
        yield made


@contextmanager
def _roles(server: PostgresServer, mark: str) -> Iterator[None]:
    names = [quoted(f'{use} "of" {mark}') for use in ("owner", "service", "reaper", "readonly")]
    server.execute(*(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'" for name in names))
    try:
        yield
    finally:
        server.execute(*(f"DROP ROLE {name}" for name in names))

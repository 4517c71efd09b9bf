"""Runs the migrations: under a lock, in the target's schema, with a version table of their own.

Two callers run this file: `alembic`, through alembic.ini, with the settings of the environment; and
`sessionstore.migrate`, which puts its target and its connection into `config.attributes`. A connection may be one of a
host, with a transaction on it, of which the migrations become a part. A script may become a part of another one too.
"""

from __future__ import annotations

import logging.config

from alembic import context
from sqlalchemy import Connection

from sessionstore.migrate import Target, migrating

config = context.config
if config.config_file_name is not None and config.attributes.get("target") is None:
    logging.config.fileConfig(config.config_file_name, disable_existing_loggers=False)

target: Target = config.attributes.get("target") or Target.from_environment()
# Statements before the revisions of a script.
preparing: list[str] | None = config.attributes.get("preparing")


def run(connection: Connection | None) -> None:
    context.configure(
        connection=connection,
        dialect_name=None if connection is not None else target.url.get_backend_name(),
        literal_binds=connection is None,
        target_metadata=target.metadata(),
        version_table=target.version_table,
        version_table_schema=target.schema,
        include_schemas=target.schema is not None,
        include_name=target.includes,
        compare_type=True,
        # SQLite has transactional DDL too. Alembic's default is False, because old drivers committed before each DDL.
        # False leaves out BEGIN and COMMIT of a script.
        transactional_ddl=not config.attributes.get("part", False),
        # SQLite's lock ends with a transaction. Between two of them another process would migrate too. A script is one
        # transaction, because it looks at the revision in the beginning.
        transaction_per_migration=target.schema is not None and preparing is None,
        # Read by the revisions: the schema of their tables.
        schema=target.schema,
    )
    with context.begin_transaction():
        if connection is None:
            for statement in target.preparing() if preparing is None else ():
                context.execute(statement)
            for text in preparing or ():
                context.get_context().impl.static_output(f"{text};")
        context.run_migrations(schema=target.schema)


if context.is_offline_mode():
    run(None)
elif (given := config.attributes.get("connection")) is not None:
    run(given)
else:
    with migrating(target) as connection:
        run(connection)

"""Runs the migrations: under a lock, in the target's schema, with a version table of their own.

Two callers run this file: `alembic`, through alembic.ini, with the settings of the environment; and
`sessionstore.migrate`, which puts its target and its connection into `config.attributes`.
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
        transactional_ddl=True,
        # SQLite's lock ends with a transaction. Between two of them another process would migrate too.
        transaction_per_migration=target.schema is not None,
        # Read by the revisions: the schema of their tables.
        schema=target.schema,
    )
    with context.begin_transaction():
        if connection is None:
            for statement in target.preparing():
                context.execute(statement)
        context.run_migrations(schema=target.schema)


if context.is_offline_mode():
    run(None)
elif (given := config.attributes.get("connection")) is not None:
    run(given)
else:
    with migrating(target) as connection:
        run(connection)

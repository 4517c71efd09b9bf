"""Runs the migrations: under a lock, in the target's schema, with a version table of their own.

Two callers run this file. `alembic` runs it through alembic.ini, with the settings of the environment.
`sessionstore.migrate` runs it with its target and its connection in `config.attributes`. The connection may belong to a
host and have an open transaction: the migrations then become part of that transaction. A migration that is written as a
SQL script may become part of a host's script in the same way.
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
# The statements with which a SQL script begins; None: those of the target.
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
        # Alembic's default for SQLite is False, because old drivers committed before each DDL. Today's driver runs DDL
        # in a transaction. A script that becomes part of another one has False, and so gets no BEGIN and COMMIT.
        transactional_ddl=not config.attributes.get("part", False),
        # In SQLite one transaction runs all revisions, because its lock ends with it: between two transactions, another
        # process could migrate too. A script is one transaction, because it checks the revision only at its beginning.
        transaction_per_migration=target.schema is not None and preparing is None,
        # The revisions read the schema of their tables from here.
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

"""Writes migrations as SQL, for those who run it by hand."""

from __future__ import annotations

import io

from alembic import command

from .alembic_config import HEAD, alone_with_alembic, config_of
from .faults import guarded
from .target import Target


def sql(url: str | None = None, *, schema: str | None = None, revision: str = HEAD) -> str:
    """The SQL that makes the tables in an empty database, to be run by hand. Connects to no database."""
    script = io.StringIO()
    target = Target.of(url, schema)
    with alone_with_alembic():
        config = config_of(target, output_buffer=script)
        guarded(target, "writing the script", lambda: command.upgrade(config, revision, sql=True))
    return script.getvalue()

"""Later revisions, of which one builds an index; python -m tests.migrate.later DIR URL upgrades to that one."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sessionstore import migrate
from sessionstore.migrate import alembic_config
from sessionstore.storage.sql.tables import REVISIONS

from ..support.processes import ROOT

WITH_INDEX = "0003"
WITH_COLUMNS = "0004"
INDEX = "ix_sessions_updated_at"

_INDEX = f'''
from sqlalchemy import text
from sessionstore.migrate.indexes import create_index_concurrently, drop_index_concurrently

revision = "{WITH_INDEX}"
down_revision = "{REVISIONS[-1]}"

def upgrade(schema=None):
    create_index_concurrently("{INDEX}", "sessions", ["updated_at"], schema=schema, where=text("version > 0"))

def downgrade(schema=None):
    drop_index_concurrently("{INDEX}", "sessions", schema=schema)
'''

_COLUMNS = f'''
import sqlalchemy as sa
from alembic import op

revision = "{WITH_COLUMNS}"
down_revision = "{WITH_INDEX}"

def upgrade(schema=None):
    for table in ("sessions", "items"):
        op.add_column(table, sa.Column("mood", sa.Text(), nullable=False, server_default="good"), schema=schema)

def downgrade(schema=None):
    for table in ("items", "sessions"):
        op.drop_column(table, "mood", schema=schema)
'''


def with_later_revisions(directory: Path) -> Path:
    """A copy of the migrations with two more."""
    shutil.copytree(ROOT / "migrations", directory)
    (directory / "versions" / "with_index.py").write_text(_INDEX)
    (directory / "versions" / "with_columns.py").write_text(_COLUMNS)
    return directory


if __name__ == "__main__":
    alembic_config._scripts = lambda: Path(sys.argv[1])
    migrate.upgrade(sys.argv[2], revision=WITH_INDEX)

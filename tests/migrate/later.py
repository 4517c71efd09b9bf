"""A later revision that builds an index, and a process that upgrades to it: python -m tests.migrate.later DIR URL."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sessionstore import migrate
from sessionstore.migrate import alembic_config
from sessionstore.storage.sql.tables import REVISIONS

from ..support.processes import ROOT

LATER = "test"
INDEX = "ix_sessions_updated_at"

_REVISION = f'''
from sqlalchemy import text
from sessionstore.migrate.indexes import create_index_concurrently, drop_index_concurrently

revision = "{LATER}"
down_revision = "{REVISIONS[-1]}"

def upgrade(schema=None):
    create_index_concurrently("{INDEX}", "sessions", ["updated_at"], schema=schema, where=text("version > 0"))

def downgrade(schema=None):
    drop_index_concurrently("{INDEX}", "sessions", schema=schema)
'''


def with_later_revision(directory: Path) -> Path:
    """A copy of the migrations with one more."""
    shutil.copytree(ROOT / "migrations", directory)
    (directory / "versions" / "test.py").write_text(_REVISION)
    return directory


if __name__ == "__main__":
    alembic_config._scripts = lambda: Path(sys.argv[1])
    migrate.upgrade(sys.argv[2])

"""sessionstore: the items of sessions.

Revision ID: sessionstore_0002
Revises: sessionstore_0001
"""

from __future__ import annotations

from sessionstore.migrate import guest

revision = "sessionstore_0002"
down_revision = "sessionstore_0001"
branch_labels = None
depends_on = None


def upgrade(engine_name: str | None = None, **_: object) -> None:
    guest.upgrade("0002", engine_name)


def downgrade(engine_name: str | None = None, **_: object) -> None:
    guest.downgrade("0002", engine_name)

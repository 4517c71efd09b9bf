"""sessionstore: the table of sessions.

Revision ID: sessionstore_0001
Revises:
"""

from __future__ import annotations

from sessionstore.migrate import guest

revision = "sessionstore_0001"
down_revision = None
branch_labels = ("sessionstore",)
depends_on = None


def upgrade(engine_name: str | None = None, **_: object) -> None:
    guest.upgrade("0001", engine_name)


def downgrade(engine_name: str | None = None, **_: object) -> None:
    guest.downgrade("0001", engine_name)

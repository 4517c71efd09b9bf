"""Migrations: makes, upgrades, compares and drops the tables, with Alembic."""

from __future__ import annotations

from .alembic_config import HEAD
from .comparing import check, compare, current
from .comparison import Comparison
from .filters import include_name, include_object
from .granting import grants
from .scripting import sql
from .target import Target
from .upgrading import downgrade, migrating, upgrade

__all__ = [
    "HEAD",
    "Comparison",
    "Target",
    "check",
    "compare",
    "current",
    "downgrade",
    "grants",
    "include_name",
    "include_object",
    "migrating",
    "sql",
    "upgrade",
]

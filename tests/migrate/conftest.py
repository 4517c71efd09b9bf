"""Fixtures of several tests of migrations."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionstore.migrate import alembic_config

from .later import with_later_revisions


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of our migrations, with later ones."""
    directory = with_later_revisions(tmp_path / "migrations")
    monkeypatch.setattr(alembic_config, "_scripts", lambda: directory)
    return directory

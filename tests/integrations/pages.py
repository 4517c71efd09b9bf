"""The pages about frameworks are true: their Python blocks run, each as a program of its own, on a migrated file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sessionstore import migrate
from tests.support.pages import ROOT, Block, blocks_of, run

__all__ = ["fresh_directory", "names_of", "python_blocks", "run"]


def python_blocks(page: str) -> list[Block]:
    """The Python blocks of docs/frameworks/PAGE, to parametrize a test with; the test calls `run(block)`."""
    found = [block for block in blocks_of(ROOT / "docs" / "frameworks" / page) if block.language == "python"]
    assert found, f"{page} shows no Python"
    return found


def names_of(block: Block) -> dict[str, Any]:
    """The classes and functions that a program defines. Its own run is left out."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(block.code, block.document, "exec", dont_inherit=True), names)  # noqa: S102
    return names


@pytest.fixture
def fresh_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a newcomer: the default SQLite file is there, and migrated."""
    for name in ("SESSIONSTORE_DATABASE_URL", "SESSIONSTORE_SCHEMA", "SESSION_TTL_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    migrate.upgrade()
    return tmp_path

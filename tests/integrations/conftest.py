"""Fixtures of the adapters' tests, and which of the folders are collected."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .frameworks import FRAMEWORK, HERE


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Passes over the frameworks' folders, but for the one whose environment this is."""
    if collection_path.parent != HERE or not (collection_path / "framework.toml").exists():
        return None
    return True if collection_path.name != os.environ.get(FRAMEWORK) else None


@pytest.fixture(params=["memory", "sqlite", "postgresql", "postgresql-asyncpg"])
def provider_kind(request: pytest.FixtureRequest) -> str:
    """Which provider `storage` is, and `storage_url` opens."""
    return str(request.param)


@pytest.fixture(params=["sqlite", "postgresql", "postgresql-asyncpg"])
def shared_url(request: pytest.FixtureRequest, url_of_kind: Callable[[str], str]) -> str:
    """The URL of an empty storage that other processes can open too."""
    return url_of_kind(str(request.param))

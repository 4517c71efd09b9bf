"""A pytest plugin for the suite of the previous code: its databases get the tables of the newest revision.

It runs in a process that imports the previous code, so the code of today migrates in processes of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sessionstore
from sessionstore import migrate
from sessionstore.storage.sql.tables import REVISIONS

ROOT = "SESSIONSTORE_TEST_TODAY"
"""The environment variable with the directory of the code of today."""


def _upgrade(url: str, *, schema: str = "sessionstore") -> None:
    code = "import sys; from sessionstore import migrate; migrate.upgrade(sys.argv[1], schema=sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, url, schema], cwd=os.environ[ROOT], check=True)


def pytest_configure(config: pytest.Config) -> None:
    assert Path(sessionstore.__file__).is_relative_to(Path.cwd()), "this is not the previous code"
    setattr(migrate, "upgrade", _upgrade)  # noqa: B010  # the signatures differ


@pytest.fixture(scope="session", autouse=True)
def _newest(sqlite_template: Path) -> None:
    found = migrate.current(f"sqlite:///{sqlite_template}")
    assert found not in (None, *REVISIONS), "the tables are not of a later revision"

"""A pytest of its own for what a page shows, in a directory of its own and without the settings of this repository."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sessionstore.testing.postgres import URL_VARIABLE
from tests.support.pages import ROOT, blocks_of

_SETTINGS = "[pytest]\nfilterwarnings = error\naddopts = -p no:pytest_alembic\n"


def written(page: str, files: Mapping[str, str], directory: Path, *settings: str) -> Path:
    """Writes the blocks of a page into files.

    Args:
        page: The page in docs/.
        files: The names of the files, by the languages of the blocks.
        directory: Where the files go.
        settings: Lines of the configuration of pytest.
    """
    for block in blocks_of(ROOT / "docs" / page):
        (directory / files[block.language]).write_text(block.code, encoding="utf-8")
    (directory / "pytest.ini").write_text("".join([_SETTINGS, *settings]), encoding="utf-8")
    return directory


def told_by_pytest(directory: Path, *arguments: str, url: str | None = None) -> str:
    """Runs pytest there, and returns what it says.

    Args:
        directory: The directory.
        arguments: More for pytest.
        url: The database that tests may use; None: they start a server.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SESSIONSTORE_", "PYTEST_"))}
    environment = kept | ({} if url is None else {URL_VARIABLE: url})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr

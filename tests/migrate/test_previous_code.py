"""The code of the previous revision on the tables of the newest one: its own conformance suite, as it was then."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tarfile
from pathlib import Path

import pytest

from sessionstore.storage.sql.revisions import PREVIOUS
from sessionstore.testing.postgres import URL_VARIABLE, PostgresServer

from ..support.processes import ROOT
from .previous import newest_tables

_ARCHIVE = Path(__file__).parent / "previous" / f"{PREVIOUS}.tar.xz"
_OF_TEXTS = re.compile(
    "any_type|garbage|ids|own_code|refused_states|returned_values|round_trip|states_that|typed|unstorable"
)
"""The modules that are left out: their tests send many texts through the same statements."""


@pytest.fixture(scope="module")
def previous_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the previous code."""
    directory = tmp_path_factory.mktemp("previous")
    with tarfile.open(_ARCHIVE) as archive:
        archive.extractall(directory, filter="data")
    plugin = Path(newest_tables.__file__)
    (directory / plugin.name).write_bytes(plugin.read_bytes())
    return directory


def _modules(code: Path) -> list[str]:
    paths = sorted(code.glob("tests/conformance/test_*.py"))
    return [str(path) for path in paths if not _OF_TEXTS.search(path.name)]


@pytest.mark.parametrize("provider_kind", ["sqlite", "postgresql"])
async def test_the_previous_code_conforms_on_the_newest_tables(
    previous_code: Path, provider_kind: str, request: pytest.FixtureRequest
) -> None:
    # The coverage of the previous code is nobody's concern.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "COV_CORE_"))}
    environment = inherited | {newest_tables.ROOT: str(ROOT), "COLUMNS": "200"}
    if provider_kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("server")
        environment[URL_VARIABLE] = server.url
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pytest", "-x", "-q", "-p", "newest_tables", "-p", "no:pytest_alembic", "-p", "no:cacheprovider"),
        *("-n", "0", "-k", f"{provider_kind} and not asyncpg and not pgbouncer"),
        *_modules(previous_code),
        cwd=previous_code,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output[-10_000:]
    passed = re.search(r"(\d+) passed", output)
    assert passed is not None, output
    assert int(passed[1]) > 250

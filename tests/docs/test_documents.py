"""The README and docs/ are true: code runs and prints what they say, commands work, and what they name is there."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sessionstore import migrate
from sessionstore.cli import app
from tests.support.bridge import end_bridge
from tests.support.pages import ROOT, Block, blocks_of, run

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_COMMAND = re.compile(r"sessionstore (?:migrate|reap|list|show|delete|stats)\b[\w .:-]*")


def blocks() -> list[Block]:
    """All blocks of all documents."""
    return [block for document in DOCUMENTS for block in blocks_of(document)]


def _named(blocks: list[Block]) -> list[object]:
    return [pytest.param(block, id=f"{block.document}-{number}") for number, block in enumerate(blocks, 1)]


PYTHON = [block for block in blocks() if block.language == "python"]
# Of a service with an environment and an Alembic of its own: tests/packaging/test_deploying.py runs them there.
OF_A_SERVICE = [block for block in blocks() if block.language in ("bash", "ini", "host")]
# Of a server of PostgreSQL and its programs: test_deploying.py runs them there.
ON_A_SERVER = [block for block in blocks() if block.language in ("shell", "sql")]
# Of a service or provider with a pytest of its own: tests/testing/ runs them there.
OF_TESTS = [block for block in blocks() if block.language in ("conftest", "service", "provider", "tests", "threads")]
COMMANDS = [block for block in blocks() if block.language in ("sh", "crontab", "yaml")]


# The service that `sessionstore migrate states service:chats` speaks of.
_SERVICE = """
from sessionstore import SessionManager, open_storage

chats = SessionManager(lambda session_id: {}, open_storage(), state_version=2, upgrades={1: dict})
"""


@pytest.fixture(autouse=True)
def in_a_fresh_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where the default SQLite file is that a newcomer would have after `sessionstore migrate upgrade`."""
    for name in ("SESSIONSTORE_DATABASE_URL", "SESSIONSTORE_SCHEMA", "SESSION_TTL_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "service.py").write_text(_SERVICE, encoding="utf-8")
    migrate.upgrade()
    yield
    end_bridge()


def test_every_document_has_its_blocks_found() -> None:
    fences = sum(document.read_text(encoding="utf-8").count("\n```") for document in DOCUMENTS)
    assert len(blocks()) * 2 == fences
    assert len(PYTHON) + len(COMMANDS) + len(OF_A_SERVICE) + len(ON_A_SERVER) + len(OF_TESTS) == len(blocks())
    assert {block.document for block in OF_TESTS} == {"providers.md", "testing.md"}
    assert {block.document for block in [*OF_A_SERVICE, *ON_A_SERVER]} == {"deploying.md"}


@pytest.mark.parametrize("block", _named(PYTHON))
def test_code_runs_and_prints_what_the_text_says(block: Block) -> None:
    run(block)


@pytest.mark.parametrize("block", _named(COMMANDS))
def test_the_commands_in_documents_succeed(block: Block) -> None:
    text = re.sub(r'["\[\], ]+', " ", block.code)
    commands = [shlex.split(command)[1:] for command in _COMMAND.findall(text)]
    assert commands
    for command in commands:
        outcome = CliRunner().invoke(app, command)
        assert outcome.exit_code == 0, outcome.output


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, *sorted((ROOT / "docs" / "frameworks").glob("*.md"))], ids=lambda document: document.name
)
def test_every_path_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    paths = re.findall(r"`((?:tests|docs|migrations|sessionstore)/[\w./-]*)`", text)
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert missing + [link for link in links if not (document.parent / link).exists()] == []

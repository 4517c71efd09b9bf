"""A service with an Alembic of its own, made by `alembic init`, which also runs our revisions."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import Script

_REVISION: Final = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down!r}
branch_labels = {labels!r}


def upgrade(*_, **__):
    op.create_table("{table}", sa.Column("id", sa.Integer, primary_key=True), sa.Column("total", sa.Integer))
    {after}


def downgrade(*_, **__):
    op.drop_table("{table}")
"""

OURS: Final = "sessionstore:migrate/versions"


@dataclass(frozen=True)
class Host:
    """The directory of a service.

    Attributes:
        directory: Where its alembic.ini is.
        script: The directory of its env.py.
    """

    directory: Path
    script: Path

    @classmethod
    def made(cls, directory: Path, url: str, template: str = "generic", **options: str) -> Host:
        """Makes a service, with one revision of its own, and with our revisions in its version_locations.

        Args:
            directory: Where to make it.
            url: The database.
            template: Of Alembic.
            options: Further lines of alembic.ini.
        """
        ini = directory / "alembic.ini"
        with redirect_stdout(io.StringIO()):
            command.init(Config(str(ini)), str(directory / "alembic"), template=template)
        host = cls(directory, directory / "alembic")
        locations = f"\n    {host.script / 'versions'}\n    {OURS}"
        text = ini.read_text().replace("path_separator = os", "path_separator = newline")
        lines = {"version_locations": locations, **options}
        added = "".join(f"{name} = {value.replace('%', '%%')}\n" for name, value in lines.items())
        text = text.replace("[alembic]\n", f"[alembic]\n{added}", 1)
        ini.write_text(text.replace("driver://user:pass@localhost/dbname\n", f"{url.replace('%', '%%')}\n"))
        host.add("0001", "orders", labels=("app",))
        return host

    def add(
        self, revision: str, table: str, *, down: str | None = None, labels: tuple[str, ...] = (), after: str = "..."
    ) -> None:
        """Adds a revision of the service's own, which makes a table."""
        text = _REVISION.format(revision=revision, down=down, labels=labels, table=table, after=after)
        (self.script / "versions" / f"{revision}_{table}.py").write_text(text)

    def edit_env(self, old: str, new: str) -> None:
        """Changes a line of env.py."""
        path = self.script / "env.py"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def configure(self, arguments: str) -> None:
        """Gives context.configure() more arguments."""
        self.edit_env("target_metadata=target_metadata", f"{arguments}, target_metadata=target_metadata")

    def upgrade(self, revision: str = "heads") -> None:
        command.upgrade(self._config(), revision)

    def downgrade(self, revision: str) -> None:
        command.downgrade(self._config(), revision)

    def script_of(self, revision: str = "heads") -> str:
        """What `alembic upgrade REVISION --sql` prints."""
        script = io.StringIO()
        command.upgrade(self._config(script), revision, sql=True)
        return script.getvalue()

    def check(self) -> None:
        """`alembic check`: fails if autogenerate would propose anything."""
        command.check(self._config())

    def autogenerate(self) -> str:
        """The text of the revision that autogenerate makes."""
        made = command.revision(self._config(), autogenerate=True, head="app@head")
        assert isinstance(made, Script)
        path = Path(made.path)
        text = path.read_text()
        path.unlink()
        return text

    def _config(self, output: io.StringIO | None = None) -> Config:
        config = Config(str(self.directory / "alembic.ini"), stdout=io.StringIO(), output_buffer=output)
        assert config.file_config.has_section("alembic")
        # As the service's env.py runs in the process of the tests, it must not set up logging.
        config.config_file_name = None
        return config

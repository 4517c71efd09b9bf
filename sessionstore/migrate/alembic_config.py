"""Sets up Alembic for our migrations: where they are, and which thread may use Alembic."""

from __future__ import annotations

import io
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import alembic.context
import alembic.op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from ..concurrency.forks import forget_in_children
from .target import Target

HEAD: Final = "head"


class _Turn:
    """Lets one migration run at a time in this process, because Alembic keeps the current migration in module globals.

    A forked child has a lock of its own: the thread that holds the lock of the parent is not in the child.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        forget_in_children(self)

    def forget_parent(self) -> None:
        """See BoundToProcess."""
        self.lock = threading.RLock()


_TURN: Final = _Turn()


@contextmanager
def alone_with_alembic() -> Generator[None]:
    """Lets one thread use Alembic. Afterwards restores the globals for a migration of the host that called this one."""
    modules: tuple[Any, ...] = (alembic.context, alembic.op)
    with _TURN.lock:
        outer = [vars(module).get("_proxy") for module in modules]
        try:
            yield
        finally:
            for proxy in outer:
                if proxy is not None:
                    proxy._install_proxy()  # noqa: SLF001


def config_of(
    target: Target, *, connection: Connection | None = None, output_buffer: io.StringIO | None = None
) -> Config:
    """Returns Alembic's configuration for our migrations of the target."""
    config = Config(output_buffer=output_buffer, attributes={"target": target, "connection": connection})
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def context_of(connection: Connection, target: Target) -> MigrationContext:
    """Returns Alembic's context for the target, to read its revision and to compare its tables."""
    options = {
        "version_table": target.version_table,
        "version_table_schema": target.schema,
        "include_schemas": target.schema is not None,
        "include_name": target.includes,
        "compare_type": True,
    }
    return MigrationContext.configure(connection, opts=options)


def _scripts() -> Path:
    """The directory of migrations: inside the package in a wheel, beside the package in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"

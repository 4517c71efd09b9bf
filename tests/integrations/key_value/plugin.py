"""Puts the store in the place of py-key-value's MemoryStore in the tests of FastMCP: `pytest -p plugin`, run there.

Each MemoryStore that FastMCP or a test makes becomes a store in a SQLite file of its own. Imports nothing of `tests`,
which is FastMCP's package there.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import key_value.aio.stores.memory as memory
import key_value.aio.stores.memory.store as module

from sessionstore import migrate, open_storage
from sessionstore.integrations.key_value import StoredKeyValue


def _url(file: Path) -> str:
    return f"sqlite+aiosqlite:///{file}"


_made = tempfile.TemporaryDirectory(prefix="key-value-")
_folder = Path(_made.name)
_template = _folder / "template.db"
migrate.upgrade(_url(_template))


class InPlaceOfMemoryStore(StoredKeyValue):
    """Is made with MemoryStore's arguments."""

    made = 0

    def __init__(self, *, default_collection: str | None = None, **_: Any) -> None:
        type(self).made += 1
        file = _folder / f"{type(self).made}.db"
        shutil.copy(_template, file)
        super().__init__(open_storage(_url(file)), default_collection=default_collection)


memory.MemoryStore = module.MemoryStore = InPlaceOfMemoryStore  # type: ignore[assignment,misc]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(f"stores made: {InPlaceOfMemoryStore.made}")

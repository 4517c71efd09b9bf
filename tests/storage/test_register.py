"""Schemes that other packages and services register."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sessionstore import ConfigurationError, MemoryStorageProvider, open_storage, register_storage
from sessionstore.storage import open as opening


@pytest.fixture(autouse=True)
def _registered_only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_FACTORIES", dict(opening._FACTORIES))


def test_a_registered_factory_gets_the_url_and_the_options() -> None:
    seen: list[tuple[str, dict[str, Any]]] = []
    made = MemoryStorageProvider()

    def factory(url: str, **options: Any) -> MemoryStorageProvider:
        seen.append((url, options))
        return made

    register_storage("Kept+Elsewhere", factory)
    assert open_storage(" kept+ELSEWHERE://ho st/Path?a=%\n", size=3) is made
    assert seen == [("kept+ELSEWHERE://ho st/Path?a=%", {"size": 3})]


@pytest.mark.parametrize("scheme", ["memory", "SQLite", "postgresql+psycopg"])
def test_a_built_in_scheme_can_be_replaced(scheme: str) -> None:
    made = MemoryStorageProvider()
    register_storage(scheme, lambda url: made)
    assert open_storage(f"{scheme.lower()}:///x.db") is made


@pytest.mark.parametrize("scheme", ["", "1st", "a b", "a:b", "a://", "a_b", "\u00e4", "a\n", "+a"])
def test_an_invalid_scheme_cannot_be_registered(scheme: str) -> None:
    with pytest.raises(ConfigurationError, match="is no URL scheme"):
        register_storage(scheme, lambda url: MemoryStorageProvider())


def test_an_installed_package_adds_a_scheme_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere_storage.py").write_text(
        "from sessionstore import MemoryStorageProvider\n"
        "class ElsewhereStorage(MemoryStorageProvider):\n"
        "    def __init__(self, url, **options):\n"
        "        super().__init__()\n"
        "        self.opened = url, options\n"
    )
    installed = tmp_path / "elsewhere_storage-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere-storage\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(
        "[sessionstore.storage]\nelsewhere = elsewhere_storage:ElsewhereStorage\n"
    )
    with pytest.raises(ConfigurationError):
        open_storage("elsewhere://host")
    monkeypatch.syspath_prepend(tmp_path)
    storage: Any = open_storage("Elsewhere://host", size=3)
    assert type(storage).__name__ == "ElsewhereStorage"
    assert storage.opened == ("Elsewhere://host", {"size": 3})

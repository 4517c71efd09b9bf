"""docs/modules.md lists every module once, so that a newcomer finds the module of each topic."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.support.pages import ROOT

PAGE = ROOT / "docs" / "modules.md"


def _listed() -> Iterator[str]:
    """What the first columns of the tables name, as paths; a path of a whole folder ends with a slash."""
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        heading = section.partition("\n")[0]
        folders: list[str] = re.findall(r"`(sessionstore/[\w/]*)`", heading)
        # The names in a section about several folders begin with their folder.
        folder = folders[0] if len(folders) == 1 else "sessionstore/"
        for names in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE):
            for name in re.findall(r"`([\w/]+)`", names):
                yield folder + name


def test_every_module_is_listed_once() -> None:
    listed = sorted(_listed())
    whole = tuple(path for path in listed if path.endswith("/"))
    modules = [str(path.relative_to(ROOT).with_suffix("")) for path in (ROOT / "sessionstore").rglob("*.py")]
    alone = [module for module in modules if not module.endswith("/__init__") and not module.startswith(whole)]
    assert [path for path in listed if path not in whole] == sorted(alone)


def test_every_listed_folder_has_modules() -> None:
    folders = [ROOT / path for path in _listed() if path.endswith("/")]
    assert [folder for folder in folders if not list(folder.glob("*.py"))] == []

"""Which revisions the code works with that it does not know, and what each revision says of itself."""

from __future__ import annotations

import re

import pytest
from alembic.script import ScriptDirectory

from sessionstore.storage.sql import revisions
from sessionstore.storage.sql.revisions import only_adds

from ...support.processes import ROOT


@pytest.mark.parametrize(
    ("newest", "found", "works"),
    [
        ("0002", "0003", True),
        ("0002", "0017", True),
        ("0002", "0003_needs_0002", True),
        ("0002", "0007_needs_0001", True),
        ("0003_needs_0002", "0004_needs_0002", True),
        ("0007_needs_0005", "0009_needs_0007", True),
        ("0002", "0003_needs_0003", False),
        ("0002", "0007_needs_0005", False),
        ("0002", "0002", False),
        ("0002", "0001", False),
        ("0002", "0000", False),
        ("0002", "123456789012", False),
        ("0002", "00031", False),
        ("0002", "0003\n", False),
        ("0002", "0003_needs_", False),
        ("0002", "0003_wants_0001", False),
        ("0002", "ae1027a6acf1", False),
        ("0002", "", False),
        ("0002", None, False),
    ],
)
def test_a_revision_that_is_not_known_is_worked_with_if_its_id_says_so(
    monkeypatch: pytest.MonkeyPatch, newest: str, found: str | None, works: bool
) -> None:
    monkeypatch.setattr(revisions, "REVISIONS", ("0001", newest))
    assert only_adds(found) is works


def test_each_revision_says_whether_it_expands_or_contracts_and_its_id_says_which_code_works_with_it() -> None:
    first, *others = reversed([*ScriptDirectory(str(ROOT / "migrations")).walk_revisions()])
    assert first.revision == "0001"
    needed = "0000"
    for number, script in enumerate(others, 2):
        needed = _needed_after(script.revision, script.longdoc, number, needed)


def _needed_after(revision: str, text: str, number: int, needed: str) -> str:
    """Returns the oldest revision whose code works with this one, given that of the revision before."""
    named = re.fullmatch(r"(\d{4})(?:_needs_(\d{4}))?", revision)
    assert named is not None, f"the id {revision} is not like 0002 or 0007_needs_0005"
    assert named[1] == f"{number:04}"
    found = named[2] or "0000"
    if re.search(r"^A contract migration: ", text, re.MULTILINE):
        assert needed < found <= named[1], f"{revision} has to name the oldest revision whose code works with it"
    else:
        assert re.search(r"^An expand migration: ", text, re.MULTILINE), f"{revision} says neither"
        assert found == needed, f"the code that works with the revision before {revision} works with it too"
    return found


@pytest.mark.parametrize(
    ("revision", "text", "needed"),
    [
        ("0007_needs_0005", "An expand migration: adds.", "0000"),
        ("0007", "An expand migration: adds.", "0005"),
        ("0007_needs_0004", "A contract migration: drops.", "0004"),
        ("0007_needs_0008", "A contract migration: drops.", "0004"),
        ("0007", "A contract migration: drops.", "0004"),
        ("0007", "Adds a column.", "0000"),
        ("0008", "An expand migration: adds.", "0000"),
        ("7", "An expand migration: adds.", "0000"),
    ],
)
def test_a_revision_whose_id_does_not_fit_is_found(revision: str, text: str, needed: str) -> None:
    with pytest.raises(AssertionError):
        _needed_after(revision, text, 7, needed)

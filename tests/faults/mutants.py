"""Breaks what everything rests on, one piece at a time, and looks whether the tests notice."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]

_PARTS: Final = ("sessionstore", "migrations", "tests", "pyproject.toml", "alembic.ini", "README.md")
_NO_TESTS_RAN_OR_WRONG_CALL: Final = (2, 3, 4, 5)


class Mutant(NamedTuple):
    """A piece of the library, what it is replaced by, and the tests that have to fail then.

    Attributes:
        name: What is broken.
        file: Where it is.
        changes: What is there exactly once, and what is put there.
        tests: Which tests are run; they pass while nothing is broken.
    """

    name: str
    file: str
    changes: Mapping[str, str]
    tests: Sequence[str]


MUTANTS: Final = (
    Mutant(
        "a write does not look at the version",
        "sessionstore/storage/sql/statements/writing.py",
        {"return [rows.c.version == batch.c.version, last_write(rows) == batch.c.last_write]": "return []"},
        ("tests/conformance/", "-k", "TestUpdate and not Concurrently"),
    ),
    Mutant(
        "what has expired is still live",
        "sessionstore/storage/sql/statements/terms.py",
        {"or_(expires_at.is_(None), expires_at > now)": "or_(true(), expires_at > now)"},
        ("tests/conformance/", "-k", "TestExpiry"),
    ),
    Mutant(
        "the reaper does not pass over the rows that others hold",
        "sessionstore/storage/sql/statements/deleting.py",
        {"rows.with_for_update(skip_locked=True).correlate(None)": "rows.correlate(None)"},
        ("tests/storage/sql/operations/test_reaper.py", "-k", "held or hold"),
    ),
    # To look again under the lock is no piece that could be broken alone: PostgreSQL does it where it locks, where it
    # deletes, and because a row that was renewed has another address.
    Mutant(
        "a write that was lost is not looked for by its id",
        "sessionstore/storage/journal.py",
        {"if writes[at : at + ID_CHARS] == write_id:": "if not write_id:"},
        ("tests/updates/test_lost.py",),
    ),
    Mutant(
        "a lost write that may still land is applied anew",
        "sessionstore/updates/fold.py",
        {"if self._attempts and not guess and self.waiting:": "if False:"},
        ("tests/updates/test_late_landings.py",),
    ),
    Mutant(
        "a write that landed late is taken for lost",
        "sessionstore/updates/fold.py",
        {"if found is Fate.LANDED:": "if found is Fate.LANDED and not self.losses:"},
        ("tests/model/test_on_memory.py",),
    ),
    Mutant(
        "a creation that was lost does not know its own session again",
        "sessionstore/storage/sql/operations/creations.py",
        {"return any(started_at(": "return not any(started_at("},
        ("tests/faults/test_lost_answers.py", "-k", "creation"),
    ),
    Mutant(
        "a deletion that was lost does not look for its receipt",
        "sessionstore/storage/sql/operations/deletions.py",
        {"receipt in noted and receipt": "False and receipt"},
        ("tests/faults/test_lost_answers.py", "-k", "deletion"),
    ),
    Mutant(
        "a typed state is not compared with what is read back of it",
        "sessionstore/codec/states.py",
        {"self._equality.check(state, copy)": "pass"},
        ("tests/codec/test_any_type.py",),
    ),
)


class Verdict(NamedTuple):
    """A mutant, and whether the tests passed without it and failed with it."""

    mutant: Mutant
    passed_before: bool
    failed_after: bool


def verdicts() -> Iterator[Verdict]:
    """Runs the tests of each mutant, in a copy of the project, without it and with it.

    Raises:
        ValueError: A piece is not where it is said to be.
    """
    with tempfile.TemporaryDirectory(prefix="ss-") as directory:
        copy = Path(directory)
        for part in _PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / part)
        for mutant in MUTANTS:
            file = copy / mutant.file
            whole = file.read_text(encoding="utf-8")
            broken = whole
            for piece, instead in mutant.changes.items():
                if whole.count(piece) != 1:
                    raise ValueError(f"{mutant.file} has {piece!r} {whole.count(piece)} times and not once")
                broken = broken.replace(piece, instead)
            passed = _passes(copy, mutant.tests)
            file.write_text(broken, encoding="utf-8")
            failed = not _passes(copy, mutant.tests)
            file.write_text(whole, encoding="utf-8")
            yield Verdict(mutant, passed, failed)


def judged(found: Sequence[Verdict]) -> str:
    """The verdicts as a table in Markdown."""
    lines = ["| what is broken | tests without it | tests with it |", "| --- | --- | --- |"]
    for mutant, passed, failed in found:
        lines.append(f"| {mutant.name} | {'pass' if passed else 'FAIL'} | {'fail' if failed else 'PASS'} |")
    return "\n".join(lines) + "\n"


def _passes(copy: Path, tests: Sequence[str]) -> bool:
    # "-m pytest" puts the directory before everything that is installed.
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    ended = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    if ended.returncode in _NO_TESTS_RAN_OR_WRONG_CALL:
        raise RuntimeError(f"{' '.join(tests)} could not be run:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return ended.returncode == 0

"""Squawk, which knows what statements do to tables in use, passes on the SQL of every revision."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from sessionstore import migrate
from sessionstore.storage.sql.tables import REVISIONS

_STEPS = ["base", *REVISIONS]

# What Squawk warns of and is right here: the script, the rule and the reason.
_EXCEPTIONS = {
    ("base to 0001", "prefer-text-field"): "Alembic makes its table of versions itself, with VARCHAR(32)",
    ("0001 to 0002", "prefer-bigint-over-int"): "the version of a shape is a number that a developer counts up by hand",
    ("0002 to 0001", "ban-drop-column"): "a downgrade takes back what the upgrade added; the documentation says so",
    ("0002 to 0001", "ban-drop-function"): "as for the columns",
    ("0002 to 0001", "ban-drop-table"): "as for the columns: a downgrade to 0001 deletes all items",
    ("0001 to base", "ban-drop-table"): "a downgrade to base deletes everything, and the command asks before",
}


def test_squawk_passes_on_the_script_of_every_revision(tmp_path: Path) -> None:
    for start, end in [*pairwise(_STEPS), *pairwise(reversed(_STEPS))]:
        script = migrate.sql("postgresql://nobody@localhost/nowhere", from_revision=start, revision=end)
        (tmp_path / f"{start} to {end}").write_text(script)
    squawk = Path(sys.executable).with_name("squawk")
    scripts = sorted(tmp_path.iterdir())
    done = subprocess.run([squawk, "--reporter", "json", *scripts], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found = {
        (Path(it["file"]).name, it["rule_name"]): f"{it['file']}:{it['line']}: {it['message']}"
        for it in json.loads(done.stdout)
    }
    assert {problem: words for problem, words in found.items() if problem not in _EXCEPTIONS} == {}
    assert set(found) == set(_EXCEPTIONS), "an exception is no longer needed"

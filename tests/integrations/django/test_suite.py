"""Django's own tests of session backends and of its middleware, from its source distribution."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.integrations.frameworks import ROOT
from tests.integrations.suites import suite

from .suite_program import LEFT_OUT


def test_djangos_own_tests_of_sessions_pass(shared_url: str) -> None:
    folder = str(suite("django") / "tests")
    program = [sys.executable, "-m", "tests.integrations.django.suite_program", shared_url, folder]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ran, skipped, left_out = map(int, re.findall(r"\d+", done.stdout.splitlines()[-1]))
    assert ran >= 75
    assert (skipped, left_out) == (0, len(LEFT_OUT))

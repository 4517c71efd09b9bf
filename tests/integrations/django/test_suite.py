"""Django's own tests of session backends and of what uses sessions, from its source distribution."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

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


# Logins, logouts and changed passwords, messages and CSRF tokens in sessions, and the test client's sessions.
_USERS_OF_SESSIONS: Final = (
    "auth_tests.test_basic",
    "auth_tests.test_login",
    "auth_tests.test_middleware",
    "auth_tests.test_remote_user",
    "auth_tests.test_signals",
    "auth_tests.test_views",
    "csrf_tests",
    "messages_tests.test_session",
    "test_client",
)


def test_djangos_own_tests_of_code_that_uses_sessions_pass(sessionstore_postgresql_url: str) -> None:
    environment = {
        **os.environ,
        "STORED_SESSIONS_URL": sessionstore_postgresql_url,
        "PYTHONPATH": str(Path(__file__).parent / "in_suites"),
    }
    runner = [sys.executable, str(suite("django") / "tests" / "runtests.py"), "--settings=stored_sessions"]
    done = subprocess.run(
        [*runner, "--parallel=1", *_USERS_OF_SESSIONS],
        env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (ran,) = re.findall(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)
    assert int(ran) >= 500
    assert done.stderr.count("\nOK\n") == 1, "a test was skipped"

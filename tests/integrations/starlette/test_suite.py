"""Starlette's own tests of its session middleware, unmodified, with ours in its place."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.integrations.suites import suite

_TRIO = "the library is for asyncio; the test runs the application under trio"
_NO_TTL = "a TTL must be positive; a cookie that is over at once is not a session that anybody asks for"

LEFT_OUT = {
    "test_session_expires[asyncio]": _NO_TTL,
    "test_session_zero_max_age[asyncio]": _NO_TTL,
    **dict.fromkeys(
        [
            "test_session[trio]",
            "test_partitioned_session[trio-False]",
            "test_partitioned_session[trio-True]",
            "test_session_expires[trio]",
            "test_secure_session[trio]",
            "test_session_cookie_subpath[trio]",
            "test_invalid_session_cookie[trio]",
            "test_session_cookie[trio]",
            "test_session_zero_max_age[trio]",
            "test_domain_cookie[trio]",
            "test_set_cookie_only_on_modification[trio]",
            "test_vary_cookie_on_access[trio]",
            "test_session_persists_mutations[trio-/inplace_update_session-data0-expected0]",
            "test_session_persists_mutations[trio-/popitem_session-None-expected1]",
        ],
        _TRIO,
    ),
}
"""The tests that are left out, and why."""

PASSED = 13


@pytest.mark.parametrize("provider_kind", ["memory", "postgresql"], indirect=True)
def test_starlettes_own_tests_pass(storage_url: str, tmp_path: Path) -> None:
    folder, file = suite("starlette"), "tests/middleware/test_session.py"
    environment = {
        **os.environ,
        "SESSIONSTORE_DATABASE_URL": storage_url,
        "PYTHONPATH": str(Path(__file__).parent),  # the plugin; the suite's package `tests` hides ours
    }
    left_out = [f"--deselect={file}::{name}" for name in LEFT_OUT]
    report = tmp_path / "report.xml"
    # Warnings of the test client about its own future are no matter of ours.
    options = [
        "-q",
        "-p",
        "plugin",
        "-p",
        "no:asyncio",
        "-p",
        "no:cacheprovider",
        "-W",
        "default",
        f"--junitxml={report}",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", file, *options, *left_out],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    cases = [*ET.parse(report).getroot().iter("testcase")]  # noqa: S314  # it is our own
    assert len(cases) == PASSED
    assert not [case for case in cases if len(case)], "a test was skipped"
    # pytest counts a name that it knows as deselected, and passes over others in silence.
    assert f"{PASSED} passed, {len(LEFT_OUT)} deselected" in done.stdout

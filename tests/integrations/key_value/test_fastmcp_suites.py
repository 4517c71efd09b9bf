"""FastMCP's own tests of what it keeps in a key-value store, with the store in the place of MemoryStore."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.integrations.suites import suite

_TESTS: Final = [
    "tests/client/auth/test_oauth_client.py",
    "tests/client/client/test_kv_response_cache.py",
    "tests/server/auth/oauth_proxy/test_authorization.py",
    "tests/server/auth/oauth_proxy/test_e2e.py",
    "tests/server/auth/oauth_proxy/test_oauth_proxy.py",
    "tests/server/auth/oauth_proxy/test_revocation.py",
    "tests/server/auth/oauth_proxy/test_tokens.py",
    "tests/server/auth/test_oauth_consent_flow.py",
    "tests/server/auth/test_oauth_proxy_storage.py",
    "tests/server/middleware/test_caching.py",
    "tests/server/test_session_provider.py",
    "tests/server/test_sessions.py",
]
_PASSING: Final = 343
_STORES_MADE: Final = 300
"""At least so many stores are ours: else the tests would show nothing."""


def test_fastmcp_keeps_its_promises_on_the_store() -> None:
    # The archive has FastMCP itself too, and its tests run on that.
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--inline-snapshot=disable", "-o", "timeout=120"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "plugin", *options, *_TESTS],
        cwd=suite("fastmcp"),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    passed = re.search(r"^(\d+) passed(?:, \d+ warnings?)? in ", done.stdout, re.MULTILINE)
    assert passed is not None, done.stdout[-2000:]
    assert int(passed[1]) == _PASSING
    made = re.search(r"^stores made: (\d+)$", done.stdout, re.MULTILINE)
    assert made is not None
    assert int(made[1]) >= _STORES_MADE

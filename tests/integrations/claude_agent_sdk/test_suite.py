"""The SDK's own tests of session stores, unmodified, on our store."""

from __future__ import annotations

import asyncio
import os
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.integrations.frameworks import ROOT
from tests.integrations.suites import suite

_PASSED = {
    ("0.1.66", "memory"): 180,
    ("0.1.66", "postgresql"): 177,
    ("0.2.189", "memory"): 203,
    ("0.2.189", "postgresql"): 199,
}
"""How many tests of each version pass, on each storage."""


@pytest.mark.parametrize("kind", ["memory", "postgresql"])
async def test_the_tests_of_the_sdk_pass_with_our_store(
    kind: str, url_of_kind: Callable[[str], str], tmp_path: Path
) -> None:
    folder = suite("claude-agent-sdk")
    # The tests of the SDK's example stores name its own store as well.
    of_stores = [file for file in folder.glob("tests/test_*.py") if "InMemorySessionStore" in file.read_text()]
    files = [str(file.relative_to(folder)) for file in of_stores if "_example_" not in file.name]
    report = tmp_path / "report.xml"
    # The installed version is tested, not the one beside the tests.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-p", "tests.integrations.claude_agent_sdk.plugin", *sorted(files)),
        *(
            "-q",
            "-o",
            "pythonpath=",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            f"--basetemp={tmp_path / 'own'}",
        ),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SUITE_URL": url_of_kind(kind)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    (told,) = ET.parse(report).getroot().iter("testsuite")  # noqa: S314  # our own report
    assert told.get("skipped") == "0"
    of = folder.name.rpartition("-")[2]
    assert int(told.get("tests", 0)) == _PASSED[of, kind], f"on {version('claude-agent-sdk')}"

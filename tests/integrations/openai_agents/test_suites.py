"""The SDK's own tests, as they are, with `StoredSession` in the place of the SDK's sessions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.integrations.suites import suite

from .left_out import LEFT_OUT

_MOST_TIMEOUTS: Final = 10

SUITE: Final = suite("openai-agents")
VERSION: Final = SUITE.name.rpartition("-")[2]

_SESSIONS_IN_BOTH: Final = (
    "tests/memory/test_session.py",
    "tests/memory/test_session_limit.py",
    "tests/extensions/memory/test_sqlalchemy_session.py",
    "tests/extensions/memory/test_async_sqlite_session.py",
    "tests/extensions/memory/test_encrypt_session.py",
)
_SESSIONS_IN_THE_NEWER: Final = (
    "tests/memory/test_compaction_suffix.py",
    "tests/memory/test_sqlalchemy_compaction.py",
)
# All that use SimpleListSession; of two long files, the one test that does.
_RUNNER_IN_BOTH: Final = (
    "tests/memory/test_openai_responses_compaction_session.py",
    (
        "tests/models/test_openai_chatcompletions_stream.py::"
        "test_buffered_tool_call_before_text_replays_as_single_assistant_session_message"
    ),
    "tests/sandbox/test_runtime.py::test_sandbox_run_persists_only_new_session_input_items",
    "tests/test_agent_runner.py",
    "tests/test_agent_runner_streamed.py",
    "tests/test_cancel_streaming.py",
    "tests/test_error_logging_redaction.py",
    "tests/test_handoff_history_duplication.py",
    "tests/test_hitl_session_scenario.py",
    "tests/test_invalid_final_output_handler.py",
    "tests/test_max_turns.py",
    "tests/test_prompt_cache_key.py",
    "tests/test_run_impl_resume_paths.py",
    "tests/test_run_state_pending_input.py",
    "tests/test_runtime_symmetry_contract.py",
    "tests/utils/test_simple_session.py",
)
_RUNNER_IN_THE_NEWER: Final = (
    "tests/deferred_session_writes",
    "tests/memory/test_compaction_model_visibility.py",
    "tests/test_runner_guardrail_resume.py",
    "tests/test_runner_tracing_disabled.py",
)
OF_SESSIONS: Final = {
    "0.21.0": _SESSIONS_IN_BOTH,
    "0.24.0": _SESSIONS_IN_BOTH + _SESSIONS_IN_THE_NEWER,
}[VERSION]
OF_THE_RUNNER: Final = {
    "0.21.0": _RUNNER_IN_BOTH,
    "0.24.0": _RUNNER_IN_BOTH + _RUNNER_IN_THE_NEWER,
}[VERSION]
PASSED: Final = {
    "0.21.0": {"sessions": 108, "runner": 772},
    "0.24.0": {"sessions": 202, "runner": 1420},
}[VERSION]


def passed(tests: Sequence[str], url: str, directory: Path) -> int:
    """Runs tests of the SDK on a storage, and tells how many there were; all of them pass, and none is skipped."""
    output, ran = _run(tests, url, directory / "report.xml")
    failed = [it for it in ran if it.find("failure") is not None or it.find("error") is not None]
    # Some wait for two seconds at most, which is not enough for them on a busy machine.
    assert all("TimeoutError" in "".join(it.itertext()) for it in failed), output
    if failed:
        assert len(failed) <= _MOST_TIMEOUTS, output
        names = [_node(it) for it in failed]
        output, again = _run(names, url, directory / "again.xml")
        assert [it for it in again if len(it)] == [], output
        assert sorted(map(_node, again)) == sorted(names)
    assert [it.attrib["name"] for it in ran if it.find("skipped") is not None] == []
    return len(ran)


def _run(tests: Sequence[str], url: str, report: Path) -> tuple[str, list[ET.Element]]:
    """What pytest printed, and the test cases of its report."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "OPENAI_AGENTS_DISABLE_TRACING"},
        "STORED_IN_PLACE_URL": url,
        # The suite's own source: some of its tests look at the names of its files.
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "in_suites"), str(SUITE / "src")]),
    }
    left_out = [f"--deselect={file}::{name}" for file, names in LEFT_OUT[VERSION].items() for name in names]
    options = ["-q", "-p", "stored_in_place", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=100"]
    command = [sys.executable, "-m", "pytest", *options, f"--junitxml={report}", *left_out, *tests]
    done = subprocess.run(command, cwd=SUITE, env=environment, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode in (0, 1), done.stdout[-8000:] + done.stderr[-2000:]
    # The report is our own.
    return done.stdout[-8000:], list(ET.parse(report).getroot().iter("testcase"))  # noqa: S314


def _node(case: ET.Element) -> str:
    """The name by which pytest runs a test case."""
    path: list[str] = []
    parts = case.attrib["classname"].split(".")
    while parts and not (SUITE / Path(*path)).with_suffix(".py").is_file():
        path.append(parts.pop(0))
    return "::".join([f"{'/'.join(path)}.py", *parts, case.attrib["name"]])


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_tests_of_sessions_pass(kind: str, url_of_kind: Callable[[str], str], tmp_path: Path) -> None:
    assert passed(OF_SESSIONS, url_of_kind(kind), tmp_path) == PASSED["sessions"]


def test_the_tests_of_the_runner_pass(tmp_path: Path) -> None:
    # In memory: some of them count turns of the event loop in which the list answers at once.
    assert passed(OF_THE_RUNNER, "memory://", tmp_path) == PASSED["runner"]


@pytest.mark.parametrize("file", LEFT_OUT[VERSION])
def test_every_test_that_is_left_out_exists_in_the_suite(file: str) -> None:
    defined = set(re.findall(r"^ *(?:async )?def (test\w+)", (SUITE / file).read_text(encoding="utf-8"), re.MULTILINE))
    assert {name.rpartition("::")[2].partition("[")[0] for name in LEFT_OUT[VERSION][file]} <= defined


def test_all_tests_that_use_the_list_are_run() -> None:
    used = {
        str(file.relative_to(SUITE))
        for file in (SUITE / "tests").rglob("*.py")
        if re.search(r"\b(SimpleListSession|CountingSession)\(", file.read_text(encoding="utf-8"))
    }
    assert _not_run(used) == {"tests/utils/simple_session.py"}


def _not_run(files: Collection[str]) -> set[str]:
    run = tuple(test.partition("::")[0] for test in OF_THE_RUNNER)
    return {file for file in files if not file.startswith(run)}

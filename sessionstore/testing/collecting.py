"""Collects the conformance suite. Leaves out, and counts, the tests that need an undeclared capability."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pytest

from .capability import Capability

__all__ = ["pytest_pycollect_makeitem", "pytest_sessionfinish", "pytest_terminal_summary", "pytest_testnodedown"]

_LEFT_OUT: Final = pytest.StashKey[Counter[tuple[str, str]]]()
"""How many tests were left out, by the suite and the capability that the suite does not declare."""
_OF_WORKER: Final = "sessionstore_left_out"


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> list[pytest.Item] | None:
    """Leaves out a test that needs a capability which the provider does not declare. pytest makes all other tests."""
    needed: Capability = getattr(_class_of(collector), "needed", {}).get(name, Capability(0))
    if not needed:
        return None
    suite = collector.parent
    declared = getattr(_class_of(suite), "capabilities", None)
    if not isinstance(declared, Capability):
        raise pytest.UsageError(
            f"{getattr(suite, 'name', suite)} has to declare the capabilities of its provider: "
            "set the class attribute `capabilities` to a Capability"
        )
    lacking = needed & ~declared
    if not lacking:
        return None
    left_out = collector.config.stash.setdefault(_LEFT_OUT, Counter())
    left_out[getattr(suite, "name", ""), "|".join(_names(lacking))] += 1
    return []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Reports the undeclared capabilities, since pytest does not count the tests that were left out."""
    for (suite, lacking), tests in sorted(config.stash.get(_LEFT_OUT, Counter()).items()):
        terminalreporter.write_line(f"{suite} does not declare {lacking}: {tests} tests are left out")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Sends the counts to the main process, if this process is a worker of pytest-xdist."""
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_OF_WORKER] = [
            [*about, tests] for about, tests in session.config.stash.get(_LEFT_OUT, Counter()).items()
        ]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes the counts of a worker. All workers collect the same tests, so the counts of one worker are enough."""
    told = getattr(node, "workeroutput", {}).get(_OF_WORKER, ())
    node.config.stash[_LEFT_OUT] = Counter({(suite, lacking): tests for suite, lacking, tests in told})


def _class_of(collector: object) -> type | None:
    return collector.obj if isinstance(collector, pytest.Class) else None


def _names(capabilities: Capability) -> Iterator[str]:
    return (str(member.name) for member in capabilities)

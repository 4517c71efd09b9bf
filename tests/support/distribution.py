"""How tests are divided: among the workers of pytest-xdist, and into those that `make quick` runs and the others.

Each worker is a process with a PostgreSQL server of its own, since tests look at all connections of their server, and
end some. What a test may count on is so the same with one worker and with many.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import pytest

POSTGRESQL: Final = "postgresql"
SLOW: Final = "slow"

MARKERS: Final = (
    f"{POSTGRESQL}: needs a PostgreSQL server; given to the tests that do",
    f"{SLOW}: takes seconds, alone or with its fixtures; given to whole folders and modules",
    # Its plugin, which declares this, fails with pytest 9.2 and is turned off in pyproject.toml.
    "alembic: given by pytest-alembic to the tests that it brings along",
)

# The longest first: what is begun last must not keep one worker busy while the others have nothing left to do.
_LONG: Final = ("faults", "model", "input", "packaging", "benchmarks", "storage", "migrate")
_SLOW: Final = (
    "tests/benchmarks/",
    "tests/faults/",
    "tests/input/",
    "tests/model/",
    "tests/packaging/",
    "tests/testing/test_providers.py",
    "tests/testing/test_services.py",
    "tests/migrate/test_alembic.py",
    "tests/migrate/test_autogenerate.py",
    "tests/migrate/test_host.py",
    "tests/migrate/test_host_databases.py",
    "tests/migrate/test_scripts.py",
    "tests/migrate/test_previous_code.py",
    "tests/sync/test_exit.py",
    "tests/sync/test_forks.py",
    "tests/sync/test_refusals.py",
    "tests/sync/test_servers.py",
    "tests/storage/sql/operations/test_cancelled_everywhere.py",
)
_RANDOM: Final = ("::TestConcurrentCalls::", "::TestLives::")
"""The topics of the conformance suite that make many calls at random."""
# Coverage doubles what Python computes. What these tests run of the library, others run too. (So do some of the classes
# in tests/conformance/, which say so themselves.)
_UNCOVERED: Final = ("tests/benchmarks/", "tests/input/test_flood.py")
_MODELS: Final = "tests/model/"
# With coverage, the models take four times as long. One model in memory and one driver are enough.
_REPEATED_MODELS: Final = ("as it is", "asyncpg")
_OF_PROCESSES: Final = "COVERAGE_PROCESS_CONFIG"
"""The variable by which coverage measures the processes that this one starts."""
_SERVERS: Final = frozenset({"server", "cluster"})
_NAMES: Final = ("postgresql", "psycopg", "asyncpg", "pgbouncer")


def mark_what_is_needed(items: Iterable[pytest.Item]) -> None:
    """Marks the tests that need a PostgreSQL server, and those that are slow."""
    for item in items:
        if item.nodeid.startswith(_SLOW) or _is_random(item):
            item.add_marker(SLOW)
        if _SERVERS.intersection(_fixtures(item)) or any(map(_names_postgresql, parameters(item).values())):
            item.add_marker(POSTGRESQL)


def leave_uncovered(items: Iterable[pytest.Item]) -> None:
    """Has pytest-cov pause while tests run that add nothing to what is covered."""
    for item in items:
        repeated = item.nodeid.startswith(_MODELS) and any(words in item.nodeid for words in _REPEATED_MODELS)
        repeated |= _is_random(item) and "::TestSQLite::" not in item.nodeid
        if repeated or item.nodeid.startswith(_UNCOVERED):
            item.add_marker(pytest.mark.no_cover)


@contextmanager
def measured_as_marked(item: pytest.Item) -> Iterator[None]:
    """Has coverage measure no process that a test starts, if pytest-cov pauses during the test."""
    config = os.environ.pop(_OF_PROCESSES, None) if item.get_closest_marker("no_cover") else None
    try:
        yield
    finally:
        if config is not None:
            os.environ[_OF_PROCESSES] = config


def keep_together_what_shares_a_fixture(items: Iterable[pytest.Item]) -> None:
    """Gives all tests of one instance of a module's fixture to one worker, so that it is made once."""
    for item in items:
        shared = {name: parameters(item).get(name) for name in _fixtures(item) if _is_the_modules(item, name)}
        if shared:
            instance = [str(parameter) for parameter in shared.values() if parameter is not None]
            item.add_marker(pytest.mark.xdist_group("-".join([item.path.parent.name, item.path.stem, *instance])))


def see_that_groups_are_known(items: Iterable[pytest.Item]) -> None:
    """Fails where pytest-xdist does not tell the scheduler of the groups: each worker would make what is shared."""
    unknown = [item for item in items if item.get_closest_marker("xdist_group") and "@" not in item.nodeid]
    if unknown:
        raise pytest.UsageError(
            f"pytest-xdist does not know the group of {unknown[0].nodeid}: does it know pytest {pytest.__version__}?"
        )


def longest_first(items: list[pytest.Item]) -> None:
    """Puts the folders with the longest tests before the others."""
    order = {f"tests/{folder}": place for place, folder in enumerate(_LONG)}
    items.sort(key=lambda item: order.get("/".join(item.nodeid.split("/")[:2]), len(order)))


def _is_random(item: pytest.Item) -> bool:
    return any(topic in item.nodeid for topic in _RANDOM)


def _fixtures(item: pytest.Item) -> list[str]:
    return list(getattr(item, "fixturenames", ()))


def parameters(item: pytest.Item) -> dict[str, object]:
    """The parameters of a test, by the names of their fixtures."""
    callspec = getattr(item, "callspec", None)
    return {} if callspec is None else dict(callspec.params)


def _is_the_modules(item: pytest.Item, name: str) -> bool:
    info = getattr(item, "_fixtureinfo", None)
    found = [] if info is None else info.name2fixturedefs.get(name, [])
    return bool(found) and found[-1].scope == "module"


def _names_postgresql(parameter: object) -> bool:
    return isinstance(parameter, str) and parameter.startswith(_NAMES)

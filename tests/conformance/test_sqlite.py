from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sessionstore import SessionManager, open_storage
from sessionstore.testing.conformance import MakeProvider, Saved

from ..support.threaded import manager_on, threaded
from .on_url import MODELS, TEXTS, OnPreviousRevision, OnUrl, without
from .restoring import saved_file


class OnFile(OnUrl):
    @pytest.fixture
    def saved(self, url: str) -> Saved:
        return lambda: saved_file(url)


class TestSQLite(OnFile):
    kind = "sqlite"


# Together, the other topics make every call.
@without(
    *(
        "TestClocks",
        "TestClose",
        "TestComplete",
        "TestCopies",
        "TestFilters",
        "TestJournal",
        "TestListLogs",
        "TestRestored",
    ),
    *("TestRestored", "TestShapes", "TestSharing", "TestUpgradeStates", "TestUpgrades"),
    *TEXTS,
    *MODELS,
)
class TestSQLiteWithoutAsyncio(OnFile):
    """Through `sessionstore.sync`, from threads."""

    kind = "sqlite"

    @pytest.fixture
    def make_provider(self, url: str) -> MakeProvider:
        return lambda clock: threaded(open_storage(url, clock=clock))

    @pytest.fixture
    def make_manager(self) -> Callable[..., SessionManager[Any]]:
        return manager_on


@pytest.mark.no_cover
class TestSQLiteOfThePreviousRevision(OnFile, OnPreviousRevision):
    kind = "sqlite-previous"

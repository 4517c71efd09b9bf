"""For pytest: puts our store in the place of the SDK's own in the SDK's own tests."""

from __future__ import annotations

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar

import claude_agent_sdk
import claude_agent_sdk._internal.session_store as own
import pytest

from sessionstore import MemoryStorageProvider, StorageProvider, open_storage
from sessionstore.integrations.claude_agent_sdk import StoredSessionStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from claude_agent_sdk import SessionKey, SessionStoreEntry

T = TypeVar("T")

_URL = os.environ["SUITE_URL"]
_storage = MemoryStorageProvider() if _URL == "memory://" else open_storage(_URL)
_PRIVATE: Final = "it sets the private _mtimes of the SDK's own store"
_TURNS: Final = "it gives the store a few turns of the event loop to answer"
_ALWAYS: Final = {
    "tests/test_session_resume.py::TestHappyPath::test_continue_picks_most_recent": _PRIVATE,
    "tests/test_session_resume.py::TestHappyPath::test_continue_skips_sidechain_sessions": _PRIVATE,
    "tests/test_session_resume.py::TestHappyPath::test_continue_tie_break_is_deterministic": _PRIVATE,
}
_IN_DATABASES: Final[dict[str, str]] = {
    "tests/test_session_helpers_store.py::TestListSessionsFromStore::test_load_concurrency_is_bounded": _TURNS,
    "tests/test_session_resume.py::TestTimeoutsAndErrors::test_cancelled_after_mkdtemp_cleans_temp_dir": _TURNS,
    "tests/test_session_summary.py::TestListSessionsFromStoreFastPath::test_gap_fill_bounded_concurrency": _TURNS,
}
_EAGER: Final = (
    "tests/test_transcript_mirror.py::TestReceiveLoopFramePeeling"
    "::test_eager_flush_mode_appends_per_frame_before_result"
)
if hasattr(claude_agent_sdk.ClaudeAgentOptions, "session_store_flush"):  # the first versions had no such option
    _IN_DATABASES[_EAGER] = _TURNS
LEFT_OUT: Final = _ALWAYS if _URL == "memory://" else _ALWAYS | _IN_DATABASES
"""The tests that are left out, and why. test_resuming.py has the promises of the first three."""

_made = count()
_threads = ThreadPoolExecutor(1)


class Store(StoredSessionStore):
    """Our store, made without arguments, with the helpers of the SDK's own that tests call without ``await``."""

    def __init__(self) -> None:
        self._own = f"{os.getpid()}.{next(_made)}"
        super().__init__(_storage, namespace=self._own)

    def get_entries(self, key: SessionKey) -> list[SessionStoreEntry]:
        """All entries of a transcript; empty if there is none."""

        async def read(storage: StorageProvider) -> list[SessionStoreEntry]:
            return await StoredSessionStore(storage, namespace=self._own).load(key) or []

        return _at_once(read)

    @property
    def size(self) -> int:
        """The number of main transcripts."""

        async def count_them(storage: StorageProvider) -> int:
            page = await storage.list(self._own, limit=1000, states=True)
            return sum(json.loads(state)["summary"] is not None for state in page.states)

        return _at_once(count_them)

    def clear(self) -> None:
        """Deletes all transcripts."""
        _at_once(lambda storage: storage.clear(self._own))


def _at_once(call: Callable[[StorageProvider], Coroutine[Any, Any, T]]) -> T:
    """Runs a call in another thread, because this one may be in the middle of an event loop."""

    async def run() -> T:
        if _URL == "memory://":
            return await call(_storage)
        async with open_storage(_URL) as storage:
            return await call(storage)

    return _threads.submit(asyncio.run, run()).result()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the runs on trio, on which the library does not work, and the tests that LEFT_OUT names."""
    named = {item.nodeid.partition("[")[0] for item in items}
    if gone := [name for name in LEFT_OUT if name not in named]:
        raise pytest.UsageError(f"these are left out, and there are none: {gone}")
    left_out = [item for item in items if "[trio" in item.name or item.nodeid.partition("[")[0] in LEFT_OUT]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


claude_agent_sdk.InMemorySessionStore = Store  # type: ignore[assignment,misc]
own.InMemorySessionStore = Store  # type: ignore[assignment,misc]

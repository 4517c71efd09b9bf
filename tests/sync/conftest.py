"""Storages of every kind, without asyncio."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from sessionstore.sync import SessionManager, StorageProvider, open_storage
from sessionstore.sync.bridge import Bridge
from tests.support.bridge import end_bridge

from .counting import Counted, new_count

LOOPS = ("asyncio", "uvloop")


def threads() -> list[str]:
    """The names of the threads of `sessionstore.sync` that run."""
    return [thread.name for thread in threading.enumerate() if thread.name == "sessionstore"]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    end_bridge()  # of a test elsewhere that closed nothing
    yield
    assert threads() == []


@pytest.fixture
def storage(storage_url: str) -> Iterator[StorageProvider]:
    """An open, empty storage of each kind."""
    with open_storage(storage_url) as storage:
        yield storage


@pytest.fixture
def counts(storage: StorageProvider) -> SessionManager[Counted]:
    """A manager of counters."""
    return SessionManager(new_count, storage)


@pytest.fixture(params=LOOPS)
def bridge(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bridge]:
    """A bridge of its own, on each event loop."""
    if request.param == "asyncio":
        monkeypatch.setitem(sys.modules, "uvloop", None)
    bridge = Bridge()
    assert type(bridge._loop).__module__.startswith("uvloop" if request.param == "uvloop" else "asyncio")
    yield bridge
    bridge.stop()

"""When the thread of the event loop begins and ends, and what becomes of calls at the end."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sessionstore import StorageError, UpdateOutcomeUnknownError
from sessionstore.sync import MemoryStorageProvider, SessionManager, StorageProvider, open_storage
from sessionstore.sync import bridge as bridges
from sessionstore.sync.process import PROCESS
from sessionstore.testing.sqlite import copied_file, sqlite_url

from .conftest import threads
from .counting import add_one, new_count
from .held import HeldStorage, under_way


def test_the_thread_begins_with_the_first_call_and_ends_with_the_last_storage() -> None:
    with MemoryStorageProvider() as one, open_storage("memory://") as other:
        counts = SessionManager(new_count, one)
        assert threads() == []
        counts.create_session("s")
        assert len(threads()) == 1
        SessionManager(new_count, other).create_session("s")
        assert len(threads()) == 1
        one.close()
        assert len(threads()) == 1
    assert threads() == []


def test_a_later_storage_begins_a_new_thread() -> None:
    for _ in range(3):
        with MemoryStorageProvider() as storage:
            storage.check()
            assert len(threads()) == 1
        assert threads() == []


def test_a_dropped_storage_does_not_keep_the_thread() -> None:
    MemoryStorageProvider().check()
    with MemoryStorageProvider() as storage:
        storage.check()
    assert threads() == []


def test_a_closed_storage_says_so_and_begins_no_thread(storage_url: str) -> None:
    storage = open_storage(storage_url)
    counts = SessionManager(new_count, storage)
    counts.create_session("s")
    storage.close()
    storage.close()
    with pytest.raises(StorageError, match="the storage is closed"):
        counts.get_session("s")
    assert threads() == []


def test_a_storage_that_was_never_used_is_closed_without_a_thread(storage_url: str) -> None:
    began: list[str] = []
    storage = open_storage(storage_url)
    threading.setprofile(lambda *_: began.append(threading.current_thread().name))
    try:
        storage.close()
    finally:
        threading.setprofile(None)
    assert threads() == began == []
    with pytest.raises(StorageError, match="the storage is closed"):
        storage.check()


def test_a_storage_cannot_be_copied_or_pickled() -> None:
    storage = MemoryStorageProvider()
    refused: list[Callable[[StorageProvider], object]] = [copy.copy, copy.deepcopy, pickle.dumps]
    for make in refused:
        with pytest.raises(TypeError, match="open_storage"):
            make(storage)


def test_a_manager_cannot_be_copied_or_pickled_before_and_after_its_first_call() -> None:
    with MemoryStorageProvider() as storage:
        counts = SessionManager(new_count, storage)
        for _ in range(2):
            for make in (copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError, match="open_storage"):
                    make(counts)
            counts.create_session("s")


def test_a_call_under_way_at_the_end_is_waited_for() -> None:
    held = HeldStorage()
    storage = StorageProvider(held)
    counts = SessionManager(new_count, storage)
    counts.create_session("s")
    held.hold()
    with ThreadPoolExecutor(2) as pool:
        update = pool.submit(counts.update_session, "s", add_one)
        assert held.entered.wait(30)
        bridge = PROCESS.bridge
        assert bridge is not None
        ending = pool.submit(bridge.stop)
        held.release()
        ending.result()
        assert update.result().unwrap() == {"n": 1}
    storage.close()


def test_a_call_that_does_not_end_is_cancelled_and_its_caller_gets_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridges, "END_SECONDS", 0.05)
    held = HeldStorage()
    with StorageProvider(held) as storage, ThreadPoolExecutor(2) as pool:
        counts = SessionManager(new_count, storage)
        counts.create_session("s")
        held.hold()
        calls = [pool.submit(counts.update_session, "s", add_one) for _ in range(2)]
        under_way(2)
        storage.close()
        for call in calls:
            with pytest.raises((UpdateOutcomeUnknownError, StorageError)):
                call.result(30)
    assert held.cancelled.is_set()


def test_a_call_that_cannot_be_cancelled_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bridges, "END_SECONDS", 0.05)
    held = HeldStorage()
    held.stubborn = True
    with StorageProvider(held) as storage, ThreadPoolExecutor(1) as pool:
        counts = SessionManager(new_count, storage)
        counts.create_session("s")
        held.hold()
        call = pool.submit(counts.get_session, "s")
        assert held.entered.wait(30)
        (thread,) = [thread for thread in threading.enumerate() if thread.name == "sessionstore"]
        storage.close()
        with pytest.raises(UpdateOutcomeUnknownError):
            call.result(30)
        assert "did not end in time" in caplog.text
        held.release()
        thread.join(30)


@pytest.mark.parametrize("number", range(5))
def test_calls_that_race_with_close_end(sqlite_template: Path, tmp_path: Path, number: int) -> None:
    storage = open_storage(sqlite_url(copied_file(sqlite_template, tmp_path / "sessions.db")))
    counts = SessionManager(new_count, storage)
    counts.create_session("s")
    begun = threading.Barrier(9)

    def work() -> int:
        told = 0
        begun.wait()
        while True:
            try:
                told = counts.update_session("s", add_one).unwrap()["n"]
            except StorageError:
                return told

    with ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(work) for _ in range(8)]
        begun.wait()
        for _ in range(number):
            counts.get_session("s")
        storage.close()
        told = [worker.result(60) for worker in workers]
    assert threads() == []
    with open_storage(sqlite_url(tmp_path / "sessions.db")) as again:
        assert SessionManager(new_count, again).get_session("s").unwrap()["n"] >= max(told)

"""Calls from threads: what they return and raise, and what the service's own functions see."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NoReturn

import pytest

from sessionstore import ConfigurationError, SessionNotFoundError, StorageUnavailableError
from sessionstore import sync as api
from sessionstore.storage import Key
from sessionstore.sync import OrchestrationStateManager, Reaper, SessionManager, StorageProvider, open_storage
from sessionstore.testing.clock import ManualClock

from .counting import Counted, add_one, new_count
from .held import HeldStorage, under_way

_SEEN: contextvars.ContextVar[str] = contextvars.ContextVar("_SEEN", default="nothing")


def test_a_session_is_created_read_updated_and_deleted(counts: SessionManager[Counted]) -> None:
    created = counts.create_session("s", items=[{"a": 1}])
    assert (created.created, created.unwrap()) == (True, {"n": 0})
    assert counts.update_session("s", add_one, append=["b"]).unwrap() == {"n": 1}
    read = counts.get_session("s", last_items=9)
    assert (read.unwrap(), [item.data for item in read.items]) == ({"n": 1}, [{"a": 1}, "b"])
    assert [info.session_id for info in counts.list_sessions().sessions] == ["s"]
    assert counts.delete_session("s").unwrap()
    assert isinstance(counts.get_session("s").error, SessionNotFoundError)


def test_no_update_of_many_threads_is_lost(counts: SessionManager[Counted]) -> None:
    for name in ("a", "b"):
        counts.create_session(name)

    def work(number: int) -> None:
        for _ in range(10):
            counts.update_session("ab"[number % 2], add_one).unwrap()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert [counts.get_session(name).unwrap()["n"] for name in "ab"] == [80, 80]


def test_calls_of_threads_go_together(patient: None) -> None:
    held = HeldStorage()
    with StorageProvider(held) as storage, ThreadPoolExecutor(9) as pool:
        counts = SessionManager(new_count, storage)
        for number in range(9):
            counts.create_session(str(number))
        held.hold()
        first = pool.submit(counts.update_session, "0", add_one)
        assert held.entered.wait(30)
        others = [pool.submit(counts.update_session, str(number), add_one) for number in range(1, 9)]
        under_way(9)
        held.release()
        for update in [first, *others]:
            assert update.result().unwrap() == {"n": 1}
        assert held.batches == [1, 8]


def test_an_error_of_a_function_reaches_its_caller_unchanged(counts: SessionManager[Counted]) -> None:
    counts.create_session("s")
    raised: list[BaseException] = [ValueError("mine"), KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError()]
    for error in raised:

        def refuse(state: Counted, error: BaseException = error) -> NoReturn:
            raise error

        with pytest.raises(type(error)) as caught:
            counts.update_session("s", refuse)
        assert caught.value is error
    assert counts.get_session("s").unwrap() == {"n": 0}


def test_an_exception_leaves_no_cycle_behind(counts: SessionManager[Counted]) -> None:
    counts.create_session("s")
    error = ValueError("mine")

    def refuse(state: Counted) -> NoReturn:
        raise error

    for _ in range(3):
        with pytest.raises(ValueError, match="mine"):
            counts.update_session("s", refuse)
        error.__traceback__ = None
    assert sys.getrefcount(error) <= 4


def test_a_coroutine_function_is_refused(counts: SessionManager[Counted]) -> None:
    counts.create_session("s")

    async def change(state: Counted) -> None: ...

    with pytest.raises(TypeError, match="coroutine"):
        counts.update_session("s", change)  # type: ignore[arg-type]


def test_a_function_sees_context_variables_and_no_thread_locals(counts: SessionManager[Counted]) -> None:
    counts.create_session("s")
    local = threading.local()
    local.value = "of the caller"
    seen: list[object] = []

    def look(state: Counted) -> None:
        seen.extend([_SEEN.get(), getattr(local, "value", None), threading.current_thread().name])
        _SEEN.set("set in the function")

    contextvars.copy_context().run(lambda: (_SEEN.set("of the caller"), counts.update_session("s", look)))
    assert seen == ["of the caller", None, "sessionstore"]
    assert _SEEN.get() == "nothing"


def test_functions_of_calls_that_go_together_see_their_own_context(patient: None) -> None:
    held = HeldStorage()
    with StorageProvider(held) as storage, ThreadPoolExecutor(5) as pool:
        counts = SessionManager(new_count, storage)
        counts.create_session("s")
        seen: set[str] = set()

        def update(name: str) -> None:
            _SEEN.set(name)
            counts.update_session("s", lambda state: seen.add(_SEEN.get()))

        held.hold()
        updates = [pool.submit(update, "first")]
        assert held.entered.wait(30)
        updates += [pool.submit(update, name) for name in "abc"]
        under_way(4)
        held.release()
        for done in updates:
            done.result()
        assert seen == {"first", "a", "b", "c"}


def test_a_timeout_ends_a_call_that_the_storage_does_not_answer() -> None:
    held = HeldStorage()
    with StorageProvider(held) as storage:
        counts = SessionManager(new_count, storage)
        counts.create_session("s")
        held.hold()
        with pytest.raises(StorageUnavailableError, match=r"within 0\.05 s"):
            counts.get_session("s", timeout=timedelta(milliseconds=50))
        held.release()
        assert counts.get_session("s", timeout=timedelta(seconds=30)).success


def test_the_other_synchronous_classes_work(storage_url: str, clock: ManualClock) -> None:
    with open_storage(storage_url, clock=clock) as storage:
        states = OrchestrationStateManager(storage)
        assert states.get_or_create_state("s").active_step is None
        changed = states.add_used_tool("s", "search")
        assert changed is not None
        assert changed.recently_used_tools == ["search"]
        storage.check()
        clock.advance(timedelta(days=9))
        reports: list[api.ReapReport] = []
        reported = threading.Event()

        def note(report: api.ReapReport) -> None:
            reports.append(report)
            reported.set()

        with Reaper(storage).every(timedelta(hours=1), on_report=note):
            assert reported.wait(30)
        assert [report.deleted for report in reports] == [1]
        assert Reaper(storage).run_once(dry_run=True).remaining == 0
        assert not storage.exists(Key("orchestration-state", "s"))


def test_an_error_beside_a_service_is_raised_at_the_end_of_the_block() -> None:
    reported = threading.Event()

    def fail(report: api.ReapReport) -> NoReturn:
        reported.set()
        raise ValueError("mine")

    with (
        api.MemoryStorageProvider() as storage,
        pytest.raises(ValueError, match="mine"),
        Reaper(storage).every(timedelta(hours=1), on_report=fail),
    ):
        assert reported.wait(30)


def test_storages_of_the_other_api_are_refused() -> None:
    import sessionstore

    asynchronous: Any = sessionstore.MemoryStorageProvider()
    makers: list[Callable[[Any], object]] = [
        lambda storage: SessionManager(new_count, storage),
        OrchestrationStateManager,
        Reaper,
    ]
    for make in makers:
        with pytest.raises(ConfigurationError, match=r"sync\.open_storage"):
            make(asynchronous)
    with (
        api.MemoryStorageProvider() as storage,
        pytest.raises(ConfigurationError, match="provider of the asynchronous API"),
    ):
        StorageProvider(storage)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="asynchronous API"):
        StorageProvider("sqlite:///x")  # type: ignore[arg-type]


def test_a_manager_without_a_storage_keeps_sessions_in_memory() -> None:
    counts = SessionManager(new_count)
    counts.create_session("s")
    assert counts.update_session("s", add_one).unwrap() == {"n": 1}
    counts._link.close(counts.asynchronous._storage.close())


def test_the_provider_of_a_storage_also_works_in_an_event_loop(storage: StorageProvider) -> None:
    import sessionstore

    counts = SessionManager(new_count, storage)
    counts.create_session("s")

    async def update() -> None:
        await sessionstore.SessionManager(new_count, storage.asynchronous).update_session("s", add_one)

    asyncio.run(update())
    assert counts.update_session("s", add_one).unwrap() == {"n": 2}

"""A call that a signal handler interrupts is cancelled, and its end is awaited."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from sessionstore.sync import SessionManager, StorageProvider
from sessionstore.sync.bridge import Bridge

from .counting import Counted, add_one, new_count
from .echo import echo
from .held import HeldStorage


class Interrupt(Exception):
    """What the time limit of a task queue raises, in a signal handler."""


@pytest.fixture(params=[KeyboardInterrupt, Interrupt])
def interrupting(request: pytest.FixtureRequest) -> Iterator[type[BaseException]]:
    """The main thread gets this exception with each SIGUSR1."""

    def raise_it(*_: object) -> NoReturn:
        raise request.param

    before = signal.signal(signal.SIGUSR1, raise_it)
    yield request.param
    signal.signal(signal.SIGUSR1, before)


def _interrupt_when(ready: threading.Event, then: Callable[[], None] = lambda: None) -> threading.Thread:
    def interrupt() -> None:
        assert ready.wait(30)
        os.kill(os.getpid(), signal.SIGUSR1)
        then()

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


def test_a_signal_that_does_not_wake_the_waiting_thread_is_noticed(
    interrupting: type[BaseException], bridge: Bridge
) -> None:
    begun = threading.Event()

    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    def interrupt() -> None:
        assert begun.wait(30)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(interrupting):
        bridge.run(wait())
    thread.join()


@pytest.mark.parametrize("times", [1, 2, 3])
def test_an_exception_just_before_a_wake_up_keeps_nobody_waiting(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    wake, left = bridge._wake, [True] * times

    def wake_or_raise() -> None:
        if left:
            left.pop()
            raise Interrupt
        wake()

    monkeypatch.setattr(bridge, "_wake", wake_or_raise)
    while left:
        with pytest.raises(Interrupt):
            bridge.run(echo(0))
    assert bridge.run(echo(1)) == 1


@pytest.mark.parametrize("call", ["get", "update"])
def test_an_interrupted_call_is_cancelled_and_nothing_is_written(interrupting: type[BaseException], call: str) -> None:
    held = HeldStorage()
    with StorageProvider(held) as storage:
        counts = SessionManager(new_count, storage)
        counts.create_session("s")
        held.hold()
        thread = _interrupt_when(held.entered)
        with pytest.raises(interrupting):
            counts.get_session("s") if call == "get" else counts.update_session("s", add_one)
        assert held.cancelled.is_set()
        thread.join()
        held.release()
        assert counts.get_session("s").unwrap() == {"n": 0}
        assert counts.update_session("s", add_one).unwrap() == {"n": 1}


def test_an_interrupted_call_waits_for_its_fate(interrupting: type[BaseException], bridge: Bridge) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def settle() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            ended.set()

    thread = _interrupt_when(begun)
    with pytest.raises(interrupting):
        bridge.run(settle())
    assert ended.is_set()
    thread.join()


def test_an_interrupted_call_waits_for_a_bounded_time(
    interrupting: type[BaseException], bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionstore.sync.bridge.FATE_SECONDS", 0.05)
    begun, go_on = threading.Event(), asyncio.Event()

    async def settle() -> None:
        begun.set()
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue

    thread = _interrupt_when(begun)
    with pytest.raises(interrupting):
        bridge.run(settle())
    thread.join()
    bridge._loop.call_soon_threadsafe(go_on.set)


def test_a_call_that_is_interrupted_before_it_begins_is_never_run(bridge: Bridge) -> None:
    ran: list[bool] = []

    async def note() -> None:
        ran.append(True)

    # The loop is busy while the call comes and is interrupted.
    busy, go_on = threading.Event(), threading.Event()
    bridge._loop.call_soon_threadsafe(lambda: (busy.set(), go_on.wait(30)))
    assert busy.wait(30)

    def raise_it(*_: object) -> NoReturn:
        go_on.set()
        raise Interrupt

    before = signal.signal(signal.SIGALRM, raise_it)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(Interrupt):
            bridge.run(note())
    finally:
        signal.signal(signal.SIGALRM, before)
    assert bridge.run(echo(1)) == 1
    assert ran == []


# An exception that a signal handler raises in a destructor, or between two calls, is Python's to report.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine:RuntimeWarning")
def test_no_update_of_a_storm_of_interrupts_is_lost_or_doubled(
    storage: StorageProvider, counts: SessionManager[Counted]
) -> None:
    counts.create_session("s")
    landed = interrupted = 0

    def raise_it(*_: object) -> NoReturn:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, raise_it)
    try:
        for number in range(60):
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0002 * (number % 20 + 1))
                    counts.update_session("s", add_one, idempotency_key=f"key {number}").unwrap()
                    landed += 1
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupt:
                interrupted += 1
    finally:
        signal.signal(signal.SIGALRM, before)
    found = counts.get_session("s").unwrap()["n"]
    assert landed <= found <= 60
    # Delivered anew, each update lands exactly once.
    for number in range(60):
        counts.update_session("s", add_one, idempotency_key=f"key {number}").unwrap()
    assert counts.get_session("s").unwrap() == {"n": 60}


def test_a_signal_handler_may_call_in_the_middle_of_a_call(
    storage: StorageProvider, counts: SessionManager[Counted]
) -> None:
    counts.create_session("s")
    counts.create_session("t")
    handled: list[Counted] = []

    def handle(*_: object) -> None:
        handled.append(counts.update_session("t", add_one).unwrap())

    before = signal.signal(signal.SIGUSR1, handle)
    try:

        def change(state: Counted) -> None:
            add_one(state)
            if not handled:
                os.kill(os.getpid(), signal.SIGUSR1)

        assert counts.update_session("s", change).unwrap() == {"n": 1}
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert handled == [{"n": 1}]

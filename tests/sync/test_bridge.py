"""The bridge: no wake-up is lost, and each caller gets its own result."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest

from sessionstore import ConfigurationError
from sessionstore.sync import SessionManager
from sessionstore.sync.bridge import Bridge, Ended

from .counting import Counted
from .echo import echo


def test_no_wake_up_is_lost(bridge: Bridge) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work(worker: int) -> None:
        for number in range(300):
            assert bridge.run(echo((worker, number), number % 3)) == (worker, number)

    try:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(work, range(16)))
    finally:
        sys.setswitchinterval(interval)


def test_each_caller_gets_its_own_error(bridge: Bridge) -> None:
    async def fail(error: BaseException) -> NoReturn:
        raise error

    for error in (ValueError(), KeyboardInterrupt(), SystemExit(), asyncio.CancelledError(), GeneratorExit()):
        with pytest.raises(type(error)) as caught:
            bridge.run(fail(error))
        assert caught.value is error
    assert bridge.run(echo(1)) == 1


def test_a_callback_that_exits_does_not_end_the_loop(bridge: Bridge) -> None:
    for error in (SystemExit(), KeyboardInterrupt()):
        failed = threading.Event()

        def fail(error: BaseException = error, failed: threading.Event = failed) -> NoReturn:
            failed.set()
            raise error

        bridge._loop.call_soon_threadsafe(fail)
        assert failed.wait(30)
        assert bridge.run(echo(1)) == 1


def test_after_the_end_a_call_is_not_begun(bridge: Bridge) -> None:
    bridge.stop()
    coroutine = echo(1)
    with pytest.raises(Ended):
        bridge.run(coroutine)
    with pytest.raises(StopIteration):
        coroutine.send(None)


def test_the_ends_of_the_pipe_are_closed_with_the_bridge(bridge: Bridge) -> None:
    other = Bridge()
    reader = other._reader
    assert other.run(echo(1)) == 1
    other.stop()
    os.fstat(reader)
    del other
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)


def test_a_refused_call_leaves_no_coroutine_that_was_never_awaited(counts: SessionManager[Counted]) -> None:
    async def call() -> None:
        with pytest.raises(ConfigurationError):
            counts.get_session("s")

    asyncio.run(call())
    gc.collect()  # a warning would be an error

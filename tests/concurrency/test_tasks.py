"""Calls whose event loop is closed before they begin, or when they are about to go on: nothing is printed."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any
from weakref import ref

import pytest

from sessionstore import MemoryStorageProvider, SessionManager
from sessionstore.concurrency.deadline import while_wanted, within
from sessionstore.concurrency.tasks import quiet
from sessionstore.storage.sql.connections.bounded import bounded
from sessionstore.storage.sql.connections.lease import to_its_end
from sessionstore.testing.support.documents import increment, new_chat

BEGUN: list[str] = []


async def call() -> None:
    BEGUN.append("call")


async def calls(sessions: SessionManager[dict[str, Any]], session_id: str) -> None:
    (await sessions.create_session(session_id)).unwrap()
    (await sessions.update_session(session_id, increment)).unwrap()


def with_timeout() -> Coroutine[Any, Any, object]:
    return within(timedelta(seconds=1), call(), bool)


def while_a_caller_waits() -> Coroutine[Any, Any, object]:
    return while_wanted(call(), lambda: True, 1.0)


def to_the_end() -> Coroutine[Any, Any, object]:
    return to_its_end(call())


@pytest.mark.parametrize("calling", [with_timeout, while_a_caller_waits, to_the_end])
def test_a_call_whose_loop_is_closed_before_it_begins_prints_nothing(
    calling: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    BEGUN.clear()
    loop = asyncio.new_event_loop()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        task = quiet(loop.create_task(calling()))
        loop.call_soon(loop.stop)
        loop.run_forever()  # one turn, in which the call gets a task of its own
        assert not task.done()
        assert len(asyncio.all_tasks(loop)) == 2
        loop.close()
        del loop, task
        gc.collect()

    assert [str(warning.message) for warning in warned] == []
    assert (BEGUN, unraisable, caplog.messages) == ([], [], [])


@pytest.mark.parametrize("calling", [with_timeout, while_a_caller_waits, to_the_end])
async def test_a_call_that_is_cancelled_before_it_begins_prints_nothing(calling: Any) -> None:
    BEGUN.clear()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        task = asyncio.ensure_future(calling())
        asyncio.get_running_loop().call_soon(cancel_others, asyncio.current_task())
        await asyncio.wait([task])
        del task
        gc.collect()

    assert [str(warning.message) for warning in warned] == []
    assert BEGUN == []


def cancel_others(task: asyncio.Task[Any] | None) -> None:
    for other in asyncio.all_tasks() - {task}:
        other.cancel()


def test_a_call_that_was_about_to_go_on_ends_with_its_loop() -> None:
    for turns in range(1, 12):
        sessions = SessionManager(new_chat, MemoryStorageProvider(), "tasks")
        loop = asyncio.new_event_loop()
        tasks = [quiet(loop.create_task(calls(sessions, f"s{at % 7}"))) for at in range(20)]
        for _ in range(turns):
            loop.call_soon(loop.stop)
            loop.run_forever()
        left = [ref(task) for task in tasks if not task.done() and about_to_go_on(task)]
        gc.disable()
        try:
            del tasks
            loop.close()
            assert [task() for task in left if task() is not None] == [], turns
        finally:
            gc.enable()


def test_an_operation_whose_answer_has_come_ends_with_its_loop() -> None:
    loop = asyncio.new_event_loop()
    answer: asyncio.Future[None] = loop.create_future()
    task = quiet(loop.create_task(operation(answer)))
    loop.call_soon(loop.stop)
    loop.run_forever()
    answer.set_result(None)
    left = ref(task)
    gc.disable()
    try:
        del answer, task
        loop.close()
        assert left() is None
    finally:
        gc.enable()


async def operation(answer: asyncio.Future[None]) -> None:
    await bounded(wait_for(answer), 10.0)


async def wait_for(answer: asyncio.Future[None]) -> None:
    await answer


def about_to_go_on(task: asyncio.Task[Any]) -> bool:
    waiting: asyncio.Future[Any] | None = getattr(task, "_fut_waiter", None)  # there is no public name
    return waiting is None or waiting.done()

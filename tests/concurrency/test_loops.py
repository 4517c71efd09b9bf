"""Objects that belong to one event loop or to one process."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from sessionstore.concurrency.loops import PerLoop
from sessionstore.errors import ConfigurationError


async def of(bound: PerLoop[object]) -> object:
    return bound.here()


async def test_a_loop_gets_the_same_object_each_time() -> None:
    bound = PerLoop(object)

    assert bound.here() is bound.here()


def test_loops_that_run_at_once_have_an_object_each() -> None:
    bound = PerLoop(object)
    together = [asyncio.new_event_loop() for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda loop: loop.run_until_complete(of(bound)), together))
    again = [loop.run_until_complete(of(bound)) for loop in together]

    assert found[0] is not found[1]
    assert again == found
    for loop in together:
        loop.close()


def test_the_object_of_a_closed_loop_is_dropped_by_the_next_loop() -> None:
    dropped: list[object] = []
    bound = PerLoop(object, drop=dropped.append)

    first = asyncio.run(of(bound))
    second = asyncio.run(of(bound))

    assert dropped == [first]
    assert second is not first
    assert list(bound.all().values()) == [second]


def test_a_forked_child_begins_without_objects_and_never_destroys_inherited_ones() -> None:
    inherited: list[object] = []
    bound = PerLoop(object, inherit=lambda objects: inherited.extend(objects.values()))
    mine = asyncio.run(of(bound))

    def child() -> int:
        return 0 if inherited == [mine] and asyncio.run(of(bound)) is not mine else 1

    assert status_of(child) == 0
    assert inherited == []


def test_without_a_running_loop_the_error_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"asyncio\.run\(\)"):
        PerLoop(object).here()


def test_a_child_forked_in_a_coroutine_is_told_to_start_a_loop() -> None:
    bound = PerLoop(object)

    async def forks() -> int:
        bound.here()

        def child() -> int:
            try:
                bound.here()
            except ConfigurationError:
                return 0
            return 1

        return status_of(child)

    assert asyncio.run(forks()) == 0


def status_of(child: object) -> int:
    """Runs a function in a forked child and returns its result."""
    assert callable(child)
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            status = child()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from sessionstore import open_storage
from sessionstore.integrations.key_value import StoredKeyValue
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.support.scale import scaled

from .machine import Programs


@pytest.fixture
def their_clock(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The clock is also that of py-key-value."""
    for module in ("time_to_live", "managed_entry"):
        monkeypatch.setattr(f"key_value.aio._utils.{module}.now", clock)
    return clock


def test_programs_get_the_answers_of_the_memory_store(storage_url: str, their_clock: ManualClock) -> None:
    class OnStorage(Programs):
        def __init__(self) -> None:
            super().__init__(store, their_clock, runner)

    program = settings(
        deadline=None,
        report_multiple_bugs=False,
        max_examples=scaled(40 if storage_url == "memory://" else 8),
        stateful_step_count=30,
        suppress_health_check=list(HealthCheck),
    )
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        storage = open_storage(storage_url, clock=their_clock)
        store = StoredKeyValue(storage)
        try:
            run_state_machine_as_test(OnStorage, settings=program)
        finally:
            runner.run(storage.close())

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from sessionstore import StorageProvider
from sessionstore.batching import Batching
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.conformance.model.machine import STORAGES
from sessionstore.testing.conformance.model.removals import ConcurrentRemovals
from sessionstore.testing.conformance.model.under_way import UnderWay
from sessionstore.updates.rounds import OPTIMISTIC_ROUNDS

from .looping import JumpingLoop
from .shared_memory import SharedMemory


class _OnMemory(ConcurrentRemovals):
    def __init__(self) -> None:
        super().__init__("model", asyncio.Runner(loop_factory=JumpingLoop), ManualClock())

    def choose_storages(self, seed: int, under_way: UnderWay) -> Sequence[StorageProvider]:
        turns = random.Random(seed)  # noqa: S311  # not to be secret, but the same each time
        batching = Batching(size=1 + seed % 5, concurrency=1 + seed % 3)
        first = SharedMemory(batching, turns, under_way, self.clock)
        others = [
            SharedMemory(None if seed % 7 == 0 else Batching(), turns, under_way, self.clock, first)
            for _ in range(1, STORAGES)
        ]
        return [first, *others]

    def teardown(self) -> None:
        with self._runner:
            super().teardown()

    def disturb(self, storage: StorageProvider, times: int) -> None:
        assert isinstance(storage, SharedMemory)
        storage.away, storage.lost = times // 2, times % 2

    def repair(self, storage: StorageProvider) -> None:
        assert isinstance(storage, SharedMemory)
        storage.away = storage.lost = 0


@pytest.mark.parametrize("rounds", [1, OPTIMISTIC_ROUNDS], ids=["soon locked", "as it is"])
def test_concurrent_calls_on_memory_have_results_of_calls_made_one_at_a_time(
    rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionstore.updates.rounds.OPTIMISTIC_ROUNDS", rounds)
    examples = 3 * settings().max_examples
    program = settings(deadline=None, report_multiple_bugs=False, max_examples=examples, stateful_step_count=30)
    run_state_machine_as_test(_OnMemory, settings=program)

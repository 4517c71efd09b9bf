"""Random programs of concurrent calls, whose results have to be possible for calls made one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count

from hypothesis.stateful import run_state_machine_as_test

from sessionstore import StorageProvider

from ...capability import Capability
from ...clock import ManualClock
from ...support.scale import program
from ..given import MakeProvider
from ..model.machine import STORAGES
from ..model.removals import ConcurrentRemovals
from ..model.under_way import UnderWay


def test_concurrent_calls_have_results_of_calls_made_one_at_a_time(
    make_provider: MakeProvider, clock: ManualClock, capabilities: Capability
) -> None:
    class OnProvider(ConcurrentRemovals):
        examples = count()

        def __init__(self) -> None:
            super().__init__(f"example-{next(self.examples)}", runner, clock)

        def choose_storages(self, seed: int, under_way: UnderWay) -> Sequence[StorageProvider]:
            return storages

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        first = make_provider(clock)
        shared = Capability.SHARED in capabilities
        storages = [first, *(make_provider(clock) if shared else first for _ in range(1, STORAGES))]
        try:
            run_state_machine_as_test(OnProvider, settings=program(25))
        finally:
            for storage in storages:
                runner.run(storage.close())

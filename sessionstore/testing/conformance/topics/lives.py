"""Random lives of sessions: each call is made on the provider and on a storage in memory, with equal answers."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis.stateful import run_state_machine_as_test

from ...capability import Capability, needs
from ...clock import ManualClock
from ...support.scale import program
from ..given import MakeProvider
from ..model.item_lives import ItemLives
from ..model.lives import Lives
from ..model.losses import LoseAnswers


def _run(lives: type[Lives], make_provider: MakeProvider, clock: ManualClock, lose: LoseAnswers | None = None) -> None:
    class OnProvider(lives):  # type: ignore[misc,valid-type]
        def __init__(self) -> None:
            super().__init__(*more, storage, clock, runner)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        storage = make_provider(clock)
        more: tuple[Any, ...] = () if lose is None else (lose(storage),)
        try:
            run_state_machine_as_test(OnProvider, settings=program(40))
        finally:
            runner.run(storage.close())


def test_sessions_live_and_end_as_in_memory(make_provider: MakeProvider, clock: ManualClock) -> None:
    _run(Lives, make_provider, clock)


@needs(Capability.ITEMS)
def test_sessions_with_items_live_and_end_as_in_memory(
    make_provider: MakeProvider, clock: ManualClock, lose_answers: LoseAnswers
) -> None:
    _run(ItemLives, make_provider, clock, lose_answers)

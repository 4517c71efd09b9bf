"""Replays conversations with many workers at once, and reports what came of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import ConfigurationError
from ..storage import StorageProvider
from .checking import Comparison, check
from .dialogues import Dialogue
from .service import ChatService, together
from .watched import Watched

DEFAULT_WORKERS: Final = 8


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a replay.

    Attributes:
        namespaces: Where its sessions are.
        sessions: Conversations.
        turns: Turns of all of them.
        seconds: How long the replay took, without the check.
        updates: Updates of all of them, as they landed in the storage.
        statements: In how many statements they came; those made at once go together.
        conflicts: Writes that came too late and were done again; counted at the storage.
        lost: Updates that are not there, as the check found.
        differing: The conversations that are not as their transcripts.
    """

    namespaces: Sequence[str]
    sessions: int
    turns: int
    seconds: float
    updates: int
    statements: int
    conflicts: int
    lost: int
    differing: Sequence[Comparison]

    @property
    def ok(self) -> bool:
        """Whether everything is there, and as it should be."""
        return not self.lost and not self.differing


async def replay(
    dialogues: Sequence[Dialogue],
    storage: StorageProvider,
    *,
    workers: int = DEFAULT_WORKERS,
    on_turn: Callable[[int], None] | None = None,
) -> Report:
    """Replays conversations and checks each of them against its transcript.

    Workers take the next turn of whichever conversation is waiting, so that the turns of one conversation come in their
    order, and those of different ones at once.

    Args:
        dialogues: The conversations.
        storage: Where to keep them, in namespaces of this run's own.
        workers: How many turns are taken at once.
        on_turn: Called after each turn with how many are done.

    Raises:
        ConfigurationError: There are no workers.
        SessionStoreError: The storage failed.
    """
    if workers < 1:
        raise ConfigurationError(f"workers must be at least 1, not {workers}")
    watched = Watched(storage)
    service = ChatService(watched.as_storage())
    waiting = deque((dialogue, 0) for dialogue in dialogues)
    done = 0
    failed = False

    async def advance(dialogue: Dialogue, position: int) -> None:
        nonlocal done
        if position == 0:
            await service.begin(dialogue.dialogue_id)
        if position == len(dialogue.turns):
            return
        await service.take(dialogue.dialogue_id, dialogue.turns[position])
        waiting.append((dialogue, position + 1))
        done += 1
        if on_turn is not None:
            on_turn(done)

    async def work() -> None:
        nonlocal failed
        # Whoever finds nothing waiting may go: each conversation under way has its worker, who puts it back.
        while waiting and not failed:
            try:
                await advance(*waiting.popleft())
            except BaseException:
                failed = True  # so that the others end their turns, and go as well
                raise

    began = time.monotonic()
    await together(*(work() for _ in range(workers)))
    seconds = time.monotonic() - began
    comparisons = [await check(service, dialogue) for dialogue in dialogues]
    return Report(
        namespaces=service.namespaces,
        sessions=len(dialogues),
        turns=done,
        seconds=seconds,
        updates=watched.updates,
        statements=watched.statements,
        conflicts=watched.conflicts,
        lost=sum(comparison.lost for comparison in comparisons),
        differing=[comparison for comparison in comparisons if comparison.faults],
    )

"""Replays conversations with many concurrent workers, and reports the outcome."""

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
    """The outcome of a replay.

    Attributes:
        namespaces: The namespaces of its sessions.
        sessions: The number of conversations.
        turns: The number of turns in all conversations.
        seconds: How long the replay took, without the check.
        updates: Updates that landed in the storage.
        statements: The number of batches that carried the updates.
        conflicts: Writes that the storage refused because the session had changed; their updates were done again.
        lost: Updates that the check did not find in the storage.
        differing: The conversations whose sessions differ from their transcripts.
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
        """Whether no update is lost and no session differs from its transcript."""
        return not self.lost and not self.differing


async def replay(
    dialogues: Sequence[Dialogue],
    storage: StorageProvider,
    *,
    workers: int = DEFAULT_WORKERS,
    on_turn: Callable[[int], None] | None = None,
) -> Report:
    """Replays conversations and checks each of them against its transcript.

    A worker takes the next turn of any waiting conversation. The turns of one conversation run in order, and turns of
    different conversations run concurrently.

    Args:
        dialogues: The conversations.
        storage: Where to keep the sessions. Each run has namespaces of its own.
        workers: How many turns run at once.
        on_turn: Called after each turn with the number of turns done.

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
        # A worker that finds no waiting conversation may end: the worker of a running conversation takes its next turn.
        while waiting and not failed:
            try:
                await advance(*waiting.popleft())
            except BaseException:
                failed = True  # the other workers end their turns and stop
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

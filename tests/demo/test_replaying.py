from __future__ import annotations

from collections.abc import Sequence
from importlib.resources.abc import Traversable
from pathlib import Path

import pytest

from sessionstore import ConfigurationError, InvalidStateError, MemoryStorageProvider, StorageProvider
from sessionstore.demo import DemoClock, Dialogue, expire, load, replay, shipped
from sessionstore.demo.dialogues import Frame
from sessionstore.demo.watched import Watched
from sessionstore.storage import Write
from sessionstore.testing.support.documents import draft

# 400 dialogues of the Schema-Guided Dialogue dataset, which are no part of the project but may lie beside it.
LARGE = Path(__file__).parents[3] / "shared" / "data" / "dialogues.jsonl"
FILES: list[Traversable] = [shipped(), *(path for path in (LARGE,) if path.is_file())]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
async def test_many_workers_lose_nothing_and_leave_nothing(
    file: Traversable, storage: StorageProvider, demo_clock: DemoClock
) -> None:
    dialogues = load(file)
    progress: list[int] = []
    report = await replay(dialogues, storage, workers=32, on_turn=progress.append)
    assert (report.lost, report.differing) == (0, [])
    assert report.ok
    turns = sum(len(dialogue.turns) for dialogue in dialogues)
    assert (report.sessions, report.turns) == (len(dialogues), turns)
    assert progress == list(range(1, turns + 1))
    assert report.updates > turns
    if isinstance(storage, MemoryStorageProvider):
        assert report.statements == report.updates  # it lets nobody in between
    else:
        assert report.statements < 0.9 * report.updates, "nobody met anybody"

    expiry = await expire(storage, demo_clock, report.namespaces)
    assert (expiry.sessions, expiry.found, expiry.left) == (2 * len(dialogues), 0, 0)
    assert expiry.reaped == 2 * len(dialogues)
    assert expiry.ok


async def test_two_replays_may_use_one_database(dialogues: Sequence[Dialogue]) -> None:
    async with MemoryStorageProvider() as storage:
        first = await replay(dialogues[:3], storage)
        second = await replay(dialogues[:3], storage)
        assert first.ok
        assert second.ok
        assert not set(first.namespaces) & set(second.namespaces)


async def test_there_may_be_more_workers_than_conversations(dialogues: Sequence[Dialogue]) -> None:
    async with MemoryStorageProvider() as storage:
        assert (await replay(dialogues[:2], storage, workers=100)).ok


async def test_a_conversation_without_turns_has_sessions_too() -> None:
    async with MemoryStorageProvider() as storage:
        report = await replay([Dialogue(dialogue_id="silent", turns=[])], storage)
        assert (report.ok, report.sessions, report.turns) == (True, 1, 0)


async def test_zero_workers_are_refused(dialogues: Sequence[Dialogue]) -> None:
    async with MemoryStorageProvider() as storage:
        with pytest.raises(ConfigurationError, match="workers"):
            await replay(dialogues, storage, workers=0)


async def test_a_failure_of_one_worker_ends_the_replay(dialogues: Sequence[Dialogue], storage: StorageProvider) -> None:
    dialogue = dialogues[0]
    bad = dialogue.turns[0].model_copy(update={"frames": [Frame(service="S", state="a NUL: \0")]})
    broken = dialogue.model_copy(update={"dialogue_id": "broken", "turns": [bad]})
    progress: list[int] = []
    with pytest.raises(InvalidStateError, match="NUL"):
        await replay([broken, *dialogues[1:]], storage, workers=4, on_turn=progress.append)
    assert len(progress) < sum(len(dialogue.turns) for dialogue in dialogues[1:])


async def test_each_refused_write_counts_as_a_conflict() -> None:
    async with MemoryStorageProvider() as storage:
        watched = Watched(storage)
        created = await watched.as_storage().create(draft("s"))
        read = created.document.summary
        assert await watched.update(Write(read, '{"n": 1}')) is not None
        assert watched.conflicts == 0
        assert await watched.update(Write(read, '{"n": 2}')) is None
        assert await watched.update_many([Write(read, '{"n": 2}')]) == [None]
        assert watched.conflicts == 2

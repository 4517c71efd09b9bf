"""Whatever a hand makes of a row: what is the matter with it is told, or the truth, and never a driver's error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from pydantic import BaseModel

from sessionstore import (
    CorruptStateError,
    InvalidStateError,
    Reaper,
    SessionManager,
    SessionNotFoundError,
    SessionResult,
    StorageProvider,
    open_storage,
)
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.postgres import Database, PostgresServer
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import draft, key
from sessionstore.testing.support.scale import scaled

from .alterations import VICTIM, Hand, PostgreSQLHand, SQLiteHand, alterations

NEIGHBOURS = ["a", "b", "y", "z"]
"""Around the victim, in the order of keys."""
_EXAMPLES = scaled(60)
TELLING = {"state", "origin", "version", "expires_at"}
"""What the other columns hold is no reason not to give out the state."""
EVERYONE = [*NEIGHBOURS[:2], VICTIM, *NEIGHBOURS[2:]]


class Note(BaseModel):
    n: int
    turns: list[Any] = []


def increment_note(note: Note) -> None:
    note.n += 1


def rewritten(state: Any) -> Any:
    return {**state, "n": 1} if isinstance(state, dict) else None


def _number(text: str) -> int | float:
    number = int(text)
    return number if -(2**63) <= number < 2**64 else float(number)


class Kept:
    """The storage under test, and somebody who alters what is in it."""

    def __init__(self, storage: StorageProvider, hand: Hand, runner: asyncio.Runner) -> None:
        self.storage = storage
        self.hand = hand
        self._runner = runner
        self._numbers = count()

    def try_(self, alter: Mapping[str, str]) -> None:
        self._runner.run(_try(self.storage, self.hand, f"altered-{next(self._numbers)}", alter))


@pytest.fixture(scope="module")
def own_database(server: PostgresServer) -> Iterator[Database]:
    """One in which nobody else's rows expire."""
    with server.fresh_database() as database:
        yield database.migrate()


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "postgresql-asyncpg"])
def kept(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[Kept]:
    if request.param == "sqlite":
        path = copied_file(sqlite_template, tmp_path_factory.mktemp("altered") / "sessions.db")
        hand: Hand = SQLiteHand(str(path))
        url = sqlite_url(path)
    else:
        database: Database = request.getfixturevalue("own_database")
        hand = PostgreSQLHand(database.url)
        url = database.url if request.param == "postgresql" else database.asyncpg_url
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        storage = open_storage(url, clock=ManualClock())
        yield Kept(storage, hand, runner)
        runner.run(storage.close())
    hand.close()


def test_a_row_altered_by_hand_is_corrupt_or_read_as_it_is_and_stays(kept: Kept) -> None:
    examples = settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

    @examples
    @given(alterations(kept.hand))
    def altered(alter: Mapping[str, str]) -> None:
        kept.try_(alter)

    altered()


async def _try(storage: StorageProvider, hand: Hand, namespace: str, alter: Mapping[str, str]) -> None:
    notes = SessionManager(lambda _: Note(n=0), storage, namespace, state_type=Note)
    plain: SessionManager[Any] = SessionManager(lambda _: {}, storage, namespace)
    await storage.create_many(
        [draft(name, '{"n": 0}', namespace=namespace, origin='{"a": 1}', owner_id="o") for name in EVERYONE]
    )
    try:
        hand.alter(namespace, alter)
    except hand.refusals:
        await storage.clear(namespace)
        assume(False)
    before = hand.row(namespace)
    assert before is not None

    for manager, change in ((notes, increment_note), (plain, rewritten)):
        looked = await manager.get_session(VICTIM, touch=False)
        _check(looked)
        if manager is plain and looked.success:
            assert looked.data == json.loads(hand.state(namespace), parse_int=_number)
        if not TELLING.intersection(alter):
            assert looked.success
        _check(await manager.get_session(VICTIM))
        if not isinstance(looked.error, SessionNotFoundError):
            found = await manager.create_session(VICTIM)
            _check(found)
            assert not found.created
        await _update_all(manager, change, looked, namespace, hand)
    await _look_around(storage, namespace)
    if hand.row(namespace) is not None:
        _check(await notes.create_session(VICTIM))
    gone = await plain.delete_session(VICTIM)
    assert gone.success
    assert hand.row(namespace) is None
    await storage.clear(namespace)


async def _update_all(
    manager: SessionManager[Any], change: Any, looked: SessionResult[Any], namespace: str, hand: Hand
) -> None:
    """The victim and its neighbours at once: what is the matter with one is not to touch the others."""
    before = hand.row(namespace)
    versions = {name: (await manager.get_session(name, touch=False)).version for name in NEIGHBOURS}
    calls = [manager.update_session(name, change, idempotency_key=f"{manager}-{name}") for name in EVERYONE]
    results = dict(zip(EVERYONE, await asyncio.gather(*calls), strict=True))
    for name in NEIGHBOURS:
        assert results[name].unwrap() is not None
        assert results[name].version == (versions[name] or 0) + 1
    updated = results[VICTIM]
    _check(updated, writing=True)
    if looked.error is not None:
        assert type(updated.error) is type(looked.error)
    if updated.error is not None:
        assert hand.row(namespace) == before
    read = [await manager.get_session(name) for name in (VICTIM, *NEIGHBOURS)]
    _check(read[0])
    assert all(result.success for result in read[1:])


def _check(result: SessionResult[Any], *, writing: bool = False) -> None:
    """It is told as what it is."""
    if result.error is not None:
        told = (CorruptStateError, SessionNotFoundError, *((InvalidStateError,) if writing else ()))
        assert type(result.error) in told
        assert VICTIM in str(result.error)
    else:
        assert result.data is not None
        assert result.metadata is not None
        assert result.metadata.origin is None or isinstance(result.metadata.origin, dict)


async def _look_around(storage: StorageProvider, namespace: str) -> None:
    page = await storage.list(namespace)
    assert [name for name in (summary.key.session_id for summary in page.sessions) if name != VICTIM] == NEIGHBOURS
    (counts,) = await storage.stats(namespace)
    live = await storage.exists(key(VICTIM, namespace))
    assert (counts.live, counts.expired) == (len(page.sessions), len(EVERYONE) - len(page.sessions))
    assert live == (counts.expired == 0)
    assert await storage.touch(key(VICTIM, namespace)) == live
    report = await Reaper(storage).run_once()
    assert (report.deleted, report.remaining) == (counts.expired, 0)
    assert [counts.live for counts in await storage.stats(namespace)] == [len(page.sessions)]

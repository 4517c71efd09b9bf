"""A flood of documents and ids, poured over every provider: they are kept as they are, or refused."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from sessionstore import (
    InvalidSessionIdError,
    InvalidStateError,
    ReplaceState,
    SessionManager,
    SessionResult,
    StorageProvider,
    open_storage,
)
from sessionstore.codec.states import Codec
from sessionstore.ids import check_session_id
from sessionstore.storage import Draft, Key, Write
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import migrated_file, sqlite_url

from .documents import Case, documents, faults, ids, is_id, same

_NAMESPACE: Final = "flood"
_MOST_BYTES: Final = 1_048_576
_AT_ONCE: Final = 40
"""How many documents go in one batch: Hypothesis draws only so much for an example."""
_ALONE: Final = 2
"""How many of them go through a manager, one call after the other."""


@dataclass
class Tally:
    """What became of the documents that a provider was given."""

    documents: int = 0
    refused: int = 0
    equal: int = 0


@asynccontextmanager
async def storages(database: Database, directory: Path) -> AsyncIterator[Mapping[str, StorageProvider]]:
    """One of each kind, open and empty."""
    urls = {
        "memory": "memory://",
        "sqlite": sqlite_url(migrated_file(directory / "flood.db")),
        "postgresql": database.url,
        "postgresql-asyncpg": database.asyncpg_url,
    }
    async with AsyncExitStack() as opened:
        yield {kind: await opened.enter_async_context(open_storage(url)) for kind, url in urls.items()}


def flooded(tallies: Mapping[str, Tally]) -> str:
    """What became of the documents as a table in Markdown."""
    lines = ["| provider | documents and ids | equal | refused |", "| --- | ---: | ---: | ---: |"]
    for kind, tally in tallies.items():
        lines.append(f"| {kind} | {tally.documents:,} | {tally.equal:,} | {tally.refused:,} |")
    return "\n".join(lines) + "\n"


def pour(database: Database, wanted: int) -> Mapping[str, Tally]:
    """Gives every kind of provider so many documents.

    Raises:
        AssertionError: One was neither kept as it is nor refused at its place.
    """
    with tempfile.TemporaryDirectory() as directory, asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        opening = storages(database, Path(directory))
        opened = runner.run(opening.__aenter__())
        tallies = {kind: Tally() for kind in opened}
        try:
            rounds = 0
            while min(tally.documents for tally in tallies.values()) < wanted:
                missing = wanted - min(tally.documents for tally in tallies.values())
                _pour_round(runner, opened, tallies, examples=-(-missing // _AT_ONCE), number=rounds)
                rounds += 1
        finally:
            runner.run(opening.__aexit__(None, None, None))
    return tallies


def _pour_round(
    runner: asyncio.Runner,
    opened: Mapping[str, StorageProvider],
    tallies: Mapping[str, Tally],
    *,
    examples: int,
    number: int,
) -> None:
    # What failed once is found again by its seed. To shrink a batch of so many documents takes longer than to look.
    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.tuples(ids, documents), min_size=_AT_ONCE, max_size=_AT_ONCE))
    def poured(cases: Sequence[Case]) -> None:
        kept = sorted_out(cases)
        for kind, storage in opened.items():
            equal = runner.run(_keep(storage, kept)) if kept else 0
            runner.run(_offer(storage, cases[:_ALONE]))
            tallies[kind].documents += len(cases)
            tallies[kind].refused += len(cases) - equal
            tallies[kind].equal += equal

    poured()


def sorted_out(cases: Sequence[Case]) -> list[tuple[Draft, Any]]:
    """What is kept, encoded, with its state; every other one was refused as it should be."""
    codec: Codec[Any] = Codec(None, _MOST_BYTES)
    kept: list[tuple[Draft, Any]] = []
    for number, (session_id, state) in enumerate(cases):
        bad_id = refused_id(session_id)
        text = encoded(codec, state)
        if text is not None and not bad_id:
            # A namespace for each, because an id may come twice.
            kept.append((Draft(Key(f"{_NAMESPACE}-{number}", session_id), text), state))
    return kept


def refused_id(session_id: Any) -> bool:
    try:
        check_session_id(session_id)
    except InvalidSessionIdError:
        assert not is_id(session_id), f"{session_id!r} is an id and was refused"
        return True
    assert is_id(session_id), f"{session_id!r} is no id and was not refused"
    return False


def encoded(codec: Codec[Any], state: Any) -> str | None:
    """The text of a state, or None where it was refused as it should be."""
    expected = faults(state)
    refused: InvalidStateError | None = None
    try:
        text: str | None = codec.encode(state, "s")
    except InvalidStateError as error:
        text, refused = None, error
    if refused is not None:
        assert refused.path in expected, f"{refused} is said of a place where nothing is wrong"
        return None
    assert not expected, f"a state was not refused for what it holds at {expected}"
    return text


async def _keep(storage: StorageProvider, kept: Sequence[tuple[Draft, Any]]) -> int:
    """Creates, updates and sets each, and compares what comes back each time; how many there were."""
    drafts = [draft for draft, _ in kept]
    states = [state for _, state in kept]
    keys = [draft.key for draft in drafts]
    created = await storage.create_many(drafts)
    assert all(creation.created for creation in created)
    _compare([creation.document.state for creation in created], states)
    await _compare_read(storage, keys, states)

    # Each becomes its neighbour, and itself again, so that no text is there from before.
    turned = [*drafts[1:], drafts[0]]
    written = await storage.update_many(
        [Write(creation.document.summary, draft.state) for creation, draft in zip(created, turned, strict=True)]
    )
    assert None not in written
    await _compare_read(storage, keys, [*states[1:], states[0]])
    await storage.set_many([replace(draft, origin=draft.state) for draft in drafts])
    await _compare_read(storage, keys, states)
    assert all(await storage.delete_many(keys))
    return len(kept)


async def _compare_read(storage: StorageProvider, keys: Sequence[Key], states: Sequence[Any]) -> None:
    found = await storage.get_many(keys)
    _compare([None if document is None else document.state for document in found], states)


def _compare(texts: Sequence[str | None], states: Sequence[Any]) -> None:
    codec: Codec[Any] = Codec(None, _MOST_BYTES)
    for text, state in zip(texts, states, strict=True):
        assert text is not None, "a session that was written is not there"
        assert same(codec.decode(text, "s"), state), "a state came back as another one"


async def _offer(storage: StorageProvider, cases: Sequence[Case]) -> None:
    """Offers each to a manager, at creation and in an update."""
    for session_id, state in cases:
        sessions: SessionManager[Any] = SessionManager(partial(_given, state), storage, _NAMESPACE)
        bystander: SessionManager[Any] = SessionManager(lambda _: {}, storage, f"{_NAMESPACE}-update")
        created = await sessions.create_session("made" if session_id is None else session_id)
        _check_answer(created, "made" if session_id is None else session_id, state)
        before = await bystander.create_session("s")
        updated = await bystander.update_session("s", partial(_replacing, state))
        after = await bystander.get_session("s")
        if state is None:  # which says that the state was changed in place, and it was not
            assert updated.unwrap() == {}
        elif faults(state):
            _check_answer(updated, "s", state)
            assert (after.data, after.version) == (before.data, before.version)
        else:
            assert same(updated.unwrap(), state)
            assert same(after.unwrap(), state)
        assert (await bystander.delete_session("s")).unwrap()
        if created.success or is_id(session_id):
            assert (await sessions.delete_session(created.session_id)).unwrap() is created.success


def _check_answer(answer: SessionResult[Any], session_id: Any, state: Any) -> None:
    if not is_id(session_id):
        assert isinstance(answer.error, InvalidSessionIdError)
    elif expected := faults(state):
        assert isinstance(answer.error, InvalidStateError)
        assert answer.error.path in expected
    else:
        assert same(answer.unwrap(), state)


def _given(state: Any, _: object) -> Any:
    return state


def _replacing(state: Any, _: object) -> Any:
    return None if state is None else ReplaceState(state)

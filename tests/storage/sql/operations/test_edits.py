"""Changes of items in transactions: they wait for held rows without a connection, and each lands exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import psycopg
import pytest

from sessionstore import (
    SqlStorageProvider,
    StorageError,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
    open_storage,
)
from sessionstore.concurrency import retry_window
from sessionstore.storage import Append, Edit, NewItem, Write
from sessionstore.storage.sql.operations import rounds
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import draft, key
from tests.support.bystander import ask, dsn, locked, until
from tests.support.databases import driven
from tests.support.opening import in_use
from tests.support.processes import python


def named(*ids: str) -> list[NewItem]:
    return [NewItem(f'"{item_id}"', item_id) for item_id in ids]


def log_of(postgres: Database, name: str = "s") -> list[str]:
    query = "SELECT item::text FROM sessionstore.items WHERE session_id = %s ORDER BY position"
    return [text for (text,) in ask(postgres, query, name)]


@pytest.fixture(params=["psycopg", "asyncpg"])
async def storage(request: pytest.FixtureRequest, postgres: Database) -> AsyncIterator[SqlStorageProvider]:
    async with open_storage(driven(postgres.url, request.param), pool_size=2) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await storage.create_many([draft("s"), draft("t")])
        await storage.append_many([Append(key(name), named("a", "b", "c")) for name in "st"])
        yield storage


@pytest.mark.parametrize(
    "change",
    [Edit(key(), newest=1), Edit(key(), after=2, items=named("d")), Append(key(), named("a", "d"))],
    ids=["pop", "replace", "append"],
)
async def test_a_held_row_keeps_no_connection_and_delays_no_other_session(
    storage: SqlStorageProvider, postgres: Database, change: Edit | Append
) -> None:
    before = log_of(postgres)

    async def run() -> object:
        return await (storage.edit(change) if isinstance(change, Edit) else storage.append(change))

    with locked(postgres, "s"):
        waiting = [asyncio.ensure_future(run()) for _ in range(3)]
        async with asyncio.timeout(10):
            for _ in range(5):
                assert await storage.edit(Edit(key("t"), newest=1)) is not None
                assert await storage.append(Append(key("t"), named("d"))) is not None
        assert not any(call.done() for call in waiting)
        assert log_of(postgres) == before
    async with asyncio.timeout(10):
        assert None not in await asyncio.gather(*waiting)
    assert in_use(storage) == 0
    assert log_of(postgres) != before


async def test_an_edit_gives_up_on_a_row_that_is_held_for_too_long(
    storage: SqlStorageProvider, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "HELD_SECONDS", 0.2)
    with locked(postgres, "s"), pytest.raises(StorageUnavailableError, match="another transaction holds the row"):
        await storage.edit(Edit(key(), newest=1))
    assert log_of(postgres) == ['"a"', '"b"', '"c"']


async def test_each_item_is_removed_by_one_of_several_processes(postgres: Database) -> None:
    async with open_storage(postgres.url) as storage:
        await storage.create(draft())
        await storage.append(Append(key(), [NewItem(f"{n}") for n in range(1, 61)]))
        arguments = ("-m", "tests.storage.sql.operations.popper", postgres.url, "s")
        processes = await asyncio.gather(*(python(*arguments) for _ in range(2)))
        assert [process.status for process in processes] == [0, 0], processes
        got = [int(line) for process in processes for line in process.output.split()]
        assert sorted(got) == list(range(1, 61))
        assert ask(postgres, "SELECT last_position, item_count FROM sessionstore.sessions") == [(60, 0)]


async def test_one_of_several_appends_of_one_item_lands(storage: SqlStorageProvider, postgres: Database) -> None:
    async with open_storage(postgres.url, batching=None) as other:
        calls = [each.append(Append(key(), named(f"{n}"))) for n in range(10) for each in (storage, other)]
        landed = [summary for summary in await asyncio.gather(*calls) if summary is not None]
    assert len(landed) == 20
    assert sorted(position for it in landed for position in it.appended if position) == list(range(4, 14))
    assert sorted(log_of(postgres)[3:]) == sorted(f'"{n}"' for n in range(10))


class Commits:
    """Loses the answer of the next COMMIT.

    Attributes:
        landing: Whether the transaction lands; None: no answer is lost.
        since: How many appends of other processes land before the answer is lost.
    """

    def __init__(self, storage: SqlStorageProvider, postgres: Database) -> None:
        self.landing: bool | None = None
        self.since = 0
        self._command = storage._gateway._backend.driver.command
        self._url = postgres.url

    async def command(self, connection: Any, sql: str) -> None:
        if sql != "COMMIT" or self.landing is None:
            await self._command(connection, sql)
            return
        landing, self.landing = self.landing, None
        if landing:
            await self._command(connection, sql)
        async with open_storage(self._url) as other:
            for n in range(self.since):
                await other.append(Append(key(), [NewItem(f"{n}")]))
        raise UpdateOutcomeUnknownError("lost")


@pytest.fixture
def commits(storage: SqlStorageProvider, postgres: Database, monkeypatch: pytest.MonkeyPatch) -> Commits:
    commits = Commits(storage, postgres)
    monkeypatch.setattr(storage._gateway._backend.driver, "command", commits.command)
    return commits


_EDITS: Sequence[tuple[Edit, list[str], list[str]]] = [
    (Edit(key(), newest=2), ['"b"', '"c"'], ['"a"']),
    (Edit(key(), after=1, items=named("d")), [], ['"a"', '"d"']),
    (Edit(key(), keep=1), [], ['"c"']),
    (Edit(key(), put=(3, "3")), [], ['"a"', '"b"', "3"]),
]


@pytest.mark.parametrize(("edit", "removed", "left"), _EDITS, ids=["newest", "after", "keep", "put"])
@pytest.mark.parametrize("landing", [True, False])
async def test_an_edit_whose_answer_was_lost_lands_once_and_has_its_result(
    storage: SqlStorageProvider, commits: Commits, postgres: Database, landing: bool,
    edit: Edit, removed: list[str], left: list[str],
) -> None:  # fmt: skip
    commits.landing = landing
    commits.since = 2 if landing else 0
    edited = await storage.edit(edit)
    assert edited is not None
    assert [item.text for item in edited.removed] == removed
    assert edited.summary.item_count == len(left)
    assert log_of(postgres) == [*left, *(["0", "1"] if landing else [])]


async def test_an_edit_whose_answer_was_lost_before_many_changes_is_not_done_again(
    storage: SqlStorageProvider, commits: Commits, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_window, "_SECONDS", 0.1)
    commits.landing, commits.since = True, 40
    with pytest.raises(UpdateOutcomeUnknownError):
        await storage.edit(Edit(key(), newest=1))
    assert len(log_of(postgres)) == 2 + 40


async def test_the_outcome_of_a_lost_edit_is_unknown_after_its_session_was_deleted(
    storage: SqlStorageProvider, commits: Commits, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_window, "_SECONDS", 0.1)
    commits.landing = True
    plain = storage._statements.use_up_appends.one.fetch

    async def fetch(*args: Any) -> Any:
        ask(postgres, "DELETE FROM sessionstore.sessions WHERE session_id = 's'")
        return await plain(*args)

    monkeypatch.setattr(storage._statements.use_up_appends.one, "fetch", fetch)
    with pytest.raises(UpdateOutcomeUnknownError):
        await storage.edit(Edit(key(), newest=1))


@pytest.mark.parametrize("landing", [True, False])
@pytest.mark.parametrize("since", [0, 2, 40])
async def test_an_append_with_ids_whose_answer_was_lost_lands_once_and_has_its_positions(
    storage: SqlStorageProvider, commits: Commits, postgres: Database, landing: bool, since: int
) -> None:
    commits.landing = landing
    commits.since = since if landing else 0
    summary = await storage.append(Append(key(), named("b", "d", "a", "e")))
    assert summary is not None
    assert list(summary.appended) == [None, 4, None, 5]
    assert log_of(postgres)[:5] == ['"a"', '"b"', '"c"', '"d"', '"e"']
    assert len(log_of(postgres)) == 5 + commits.since


@pytest.mark.parametrize("landing", [True, False])
async def test_a_creation_with_items_whose_answer_was_lost_lands_once_and_has_its_positions(
    storage: SqlStorageProvider, commits: Commits, postgres: Database, landing: bool
) -> None:
    commits.landing = landing
    creation = await storage.create(draft("new", items=named("a", "b", "a")))
    summary = creation.document.summary
    assert creation.created
    assert (list(summary.appended), summary.last_position, summary.item_count) == ([1, 2, None], 2, 2)
    assert log_of(postgres, "new") == ['"a"', '"b"']


async def test_a_creation_with_items_outlasts_an_uncommitted_one_of_its_key(
    storage: SqlStorageProvider, postgres: Database
) -> None:
    with psycopg.connect(dsn(postgres.url)) as connection:
        connection.execute(
            "INSERT INTO sessionstore.sessions (namespace, session_id, state, version, created_at, updated_at, "
            "last_accessed_at) VALUES ('chat', 'new', '{}', 1, now(), now(), now())"
        )
        waiting = asyncio.gather(
            storage.create(draft("new", items=named("a"))), storage.create_many([draft("new", items=named("b"))])
        )
        await until(postgres, "SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        # A transaction gives up after a second, and then there is none for a moment.
        await until(postgres, "SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        connection.rollback()
    async with asyncio.timeout(10):
        single, (several,) = await waiting
    assert sorted([single.created, several.created]) == [False, True]
    assert log_of(postgres, "new") == (['"a"'] if single.created else ['"b"'])


@pytest.mark.parametrize("with_ids", [False, True])
@pytest.mark.parametrize("several", [False, True])
async def test_items_that_the_database_drops_are_an_error_and_nothing_lands(
    storage: SqlStorageProvider, postgres: Database, several: bool, with_ids: bool
) -> None:
    ask(
        postgres,
        "CREATE FUNCTION public.drop_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; "
        "CREATE TRIGGER dropped BEFORE INSERT ON sessionstore.items FOR EACH ROW "
        "WHEN (NEW.item::text = '\"d\"') EXECUTE FUNCTION public.drop_it()",
    )
    given = named("d", "e") if several else named("d")
    if not with_ids:
        given = [NewItem(item.text) for item in given]
    found = await storage.get(key())
    assert found is not None
    with pytest.raises(StorageError, match="did not keep items"):
        await storage.update(Write(found.summary, "[1]", items=given))
    told = await asyncio.gather(
        storage.append(Append(key(), given)),
        storage.edit(Edit(key("t"), after=0, items=given)),
        storage.create(draft("new", items=given)),
        return_exceptions=True,
    )
    assert all(isinstance(error, StorageError) and "did not keep items" in str(error) for error in told), told
    assert [len(log_of(postgres, name)) for name in ("s", "t", "new")] == [3, 3, 0]
    assert not await storage.exists(key("new"))
    assert (await storage.get(key()) or found).state == found.state

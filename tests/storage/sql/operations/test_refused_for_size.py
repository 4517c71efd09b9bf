"""What the database refuses of a batch for its size, or of a moment, is done all the same, and once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

import pytest

from sessionstore import SqlStorageProvider, StorageError, open_storage
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import draft, key
from tests.support.bystander import ask

Call: TypeAlias = Callable[[SqlStorageProvider, list[str]], Awaitable[Any]]

_NAMES: Final = [f"s{n}" for n in range(13)]
_CODES: Final = ["54000", "53400", "53200", "57014"]


@pytest.fixture
async def storage(url: str) -> AsyncIterator[SqlStorageProvider]:
    async with open_storage(url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await storage.create(draft("warm"))
        yield storage


def _at_most(database: Database, rows: int, code: str) -> None:
    """The server refuses statements that write more rows than this."""
    for event, table in (("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old")):
        body = (
            f"BEGIN IF (SELECT count(*) FROM changed) > {rows} THEN "
            f"RAISE EXCEPTION 'too much' USING ERRCODE = '{code}'; END IF; RETURN NULL; END"
        )
        ask(database, f"CREATE FUNCTION limit_{event}() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
        ask(
            database,
            f"CREATE TRIGGER limit_{event} AFTER {event} ON sessionstore.sessions REFERENCING {table} TABLE AS changed "
            f"FOR EACH STATEMENT EXECUTE FUNCTION limit_{event}()",
        )


@pytest.mark.parametrize("code", _CODES)
async def test_a_batch_that_is_too_much_is_done_in_parts(
    storage: SqlStorageProvider, postgres: Database, code: str
) -> None:
    _at_most(postgres, 3, code)
    created = await storage.create_many([draft(name) for name in _NAMES])
    assert [creation.created for creation in created] == [True] * 13
    summaries = await storage.set_many([draft(name, "[1]") for name in _NAMES])
    assert [it.version for it in summaries] == [creation.document.summary.version + 1 for creation in created]
    ask(
        postgres,
        "UPDATE sessionstore.sessions SET expires_at = now() + interval '1 min' WHERE session_id IN ('s1', 's2')",
    )
    assert await storage.touch_many([key(name) for name in _NAMES]) == [True] * 13
    assert len([document for document in await storage.get_many([key(name) for name in _NAMES]) if document]) == 13
    assert await storage.delete_many([key(name) for name in _NAMES]) == [True] * 13
    assert await storage.delete_many([key(name) for name in _NAMES]) == [False] * 13


async def test_a_session_that_is_too_large_alone_is_an_error_for_its_caller(
    storage: SqlStorageProvider, postgres: Database
) -> None:
    _at_most(postgres, 0, "54000")
    with pytest.raises(StorageError) as told:
        await storage.create_many([draft(name) for name in _NAMES])
    assert told.value.code == "54000"


_ONCE_MORE: Final[dict[str, Call]] = {
    "create": lambda storage, names: storage.create_many([draft(name) for name in names]),
    "set": lambda storage, names: storage.set_many([draft(name) for name in names]),
}


def _violating(database: Database, times: int) -> None:
    """So often, an INSERT violates a unique index that is being built anew."""
    body = (
        f"BEGIN IF nextval('tries') <= {times} THEN RAISE EXCEPTION 'twice' USING ERRCODE = '23505'; END IF; "
        "RETURN NULL; END"
    )
    ask(database, "CREATE SEQUENCE tries")
    ask(database, f"CREATE FUNCTION violate() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
    ask(
        database,
        "CREATE TRIGGER t AFTER INSERT ON sessionstore.sessions FOR EACH STATEMENT EXECUTE FUNCTION violate()",
    )


@pytest.mark.parametrize("call", _ONCE_MORE.values(), ids=list(_ONCE_MORE))
@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]], ids=["one", "many"])
async def test_a_unique_violation_of_a_moment_is_done_again(
    storage: SqlStorageProvider, postgres: Database, call: Call, names: list[str]
) -> None:
    _violating(postgres, 4)
    assert len(await call(storage, names)) == len(names)
    assert await storage.exists_many([key(name) for name in names]) == [True] * len(names)


@pytest.mark.parametrize("call", _ONCE_MORE.values(), ids=list(_ONCE_MORE))
async def test_a_unique_violation_that_stays_is_raised(
    storage: SqlStorageProvider, postgres: Database, call: Call
) -> None:
    _violating(postgres, 1000)
    with pytest.raises(StorageError) as told:
        await call(storage, ["a"])
    assert told.value.code == "23505"
    assert ask(postgres, "SELECT last_value < 50 FROM tries") == [(True,)]

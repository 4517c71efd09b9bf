"""Code on the previous revision, as of pods that start before the migration: what needs the newest one says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from sessionstore import SchemaError, SessionManager, StorageProvider, migrate, open_storage
from sessionstore.storage.sql import SqlStorageProvider
from sessionstore.storage.sql.connections import first_call
from sessionstore.storage.sql.revisions import PREVIOUS
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import Chat, increment, key, new_chat
from sessionstore.testing.support.logs import fill

from ...support.databases import driven

Call: TypeAlias = Callable[[SessionManager[Chat]], Awaitable[Any]]


@pytest.fixture(params=["psycopg", "asyncpg", "aiosqlite"])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database at the previous revision, that is the test's own to migrate."""
    if request.param == "aiosqlite":
        template: Path = request.getfixturevalue("previous_sqlite_template")
        return sqlite_url(copied_file(template, tmp_path / "sessions.db"))
    database: Database = request.getfixturevalue("bare_database")
    return driven(database.migrate(revision=PREVIOUS).url, str(request.param))


def _chats(storage: StorageProvider, **options: Any) -> SessionManager[Chat]:
    return SessionManager(new_chat, storage, **options)


_NEED_ITEMS: dict[str, Call] = {
    "append": lambda chats: chats.append_items("s", ["x"]),
    "append with an id": lambda chats: chats.append_items("s", ["x"], ids=["i"]),
    "append to a new session": lambda chats: chats.append_items("new", ["x"], create=True),
    "create with items": lambda chats: chats.create_session("new", items=["x"]),
    "update with items": lambda chats: chats.update_session("s", increment, append=["x"]),
    "get with items": lambda chats: chats.get_session("s", last_items=1),
    "get items": lambda chats: chats.get_items("s"),
    "get items by id": lambda chats: chats.get_items("s", ids=["i"]),
    "list logs": lambda chats: chats.list_logs("s"),
    "find": lambda chats: chats.find_item("i"),
    "pop": lambda chats: chats.pop_items("s"),
    "replace": lambda chats: chats.replace_items("s", ["x"]),
    "replace one": lambda chats: chats.replace_item("s", 1, "x"),
    "trim": lambda chats: chats.trim_items("s", 1),
}


async def test_calls_that_need_items_say_so_and_write_nothing(old_url: str) -> None:
    async with open_storage(old_url) as storage:
        chats = _chats(storage)
        created = await chats.create_session("s")
        for call in _NEED_ITEMS.values():
            for chosen in (chats, _chats(storage, keep_items=3)):
                with pytest.raises(
                    SchemaError, match=r"needs revision 0002.*run `sessionstore migrate upgrade`"
                ) as raised:
                    await call(chosen)
                assert (raised.value.found, raised.value.wanted) == (PREVIOUS, REVISIONS[-1])
        assert (await chats.get_session("s")).version == created.version
        assert [session.session_id for session in (await chats.list_sessions()).sessions] == ["s"]


async def test_calls_of_states_succeed_beside_calls_that_need_items(old_url: str) -> None:
    async with open_storage(old_url) as storage:
        chats = _chats(storage)
        await asyncio.gather(*(chats.create_session(name) for name in "abcdef"))
        outcomes = await asyncio.gather(
            *(chats.update_session(name, increment, append=["x"] if name in "bd" else []) for name in "abcdef"),
            *(chats.update_session("a", increment) for _ in range(3)),
            *(chats.create_session(f"new {name}", items=["x"] if name in "bd" else []) for name in "abcdef"),
            *(chats.get_session(name, last_items=int(name in "bd")) for name in "abcdef"),
            return_exceptions=True,
        )
        failed = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, SchemaError)]
        assert failed == [1, 3, 10, 12, 16, 18]
        assert not [it for it in outcomes if isinstance(it, BaseException) and not isinstance(it, SchemaError)]
        names = [f"new {name}" for name in "acef"]
        assert [it.session_id for it in (await chats.list_sessions(prefix="new")).sessions] == names
        assert [(await chats.get_session(name)).unwrap()["n"] for name in "abcdef"] == [4, 0, 1, 0, 1, 1]


async def test_states_of_another_shape_are_read_and_not_written(old_url: str) -> None:
    def rename(state: Chat) -> Chat:
        return {"count": state["n"]}

    def count(state: Chat) -> None:
        state["count"] += 1

    async with open_storage(old_url) as storage:
        chats = _chats(storage)
        newer = SessionManager(lambda _: {"count": 0}, storage, state_version=2, upgrades={1: rename})
        for name in "abcd":
            await chats.create_session(name)
        assert (await newer.get_session("a")).unwrap() == {"count": 0}
        assert [it.unwrap() for it in await asyncio.gather(*map(newer.get_session, "ab"))] == [{"count": 0}] * 2
        with pytest.raises(SchemaError, match="needs revision 0002"):
            await newer.update_session("a", count)
        with pytest.raises(SchemaError, match="needs revision 0002"):
            await newer.create_session("e")
        with pytest.raises(SchemaError, match="needs revision 0002"):
            await newer.upgrade_states()
        outcomes = await asyncio.gather(
            *(newer.update_session(name, count) for name in "ab"),
            *(chats.update_session(name, increment) for name in "cd"),
            *(newer.create_session(name) for name in "ef"),
            *(chats.create_session(name) for name in "gh"),
            return_exceptions=True,
        )
        assert [isinstance(it, SchemaError) for it in outcomes] == [True, True, False, False] * 2
        assert [(await chats.get_session(name)).unwrap()["n"] for name in "abcdgh"] == [0, 0, 1, 1, 0, 0]
        assert not (await chats.get_session("e")).success


async def test_a_fork_of_a_session_without_items_works(old_url: str) -> None:
    async with open_storage(old_url) as storage:
        chats = _chats(storage)
        await chats.create_session("s", owner_id="u")
        await chats.update_session("s", increment)
        for until, name in ((None, "t"), (5, "u")):
            fork = await chats.fork_session("s", name, until=until)
            assert (fork.created, fork.unwrap()["n"], fork.last_position) == (True, 1, 0)
        assert (await chats.get_session("t", owner_id="u")).unwrap()["n"] == 1


async def test_a_call_that_needs_items_works_once_the_tables_were_migrated(old_url: str) -> None:
    async with open_storage(old_url) as storage:
        chats = _chats(storage)
        await chats.create_session("s")
        with pytest.raises(SchemaError):
            await chats.append_items("s", ["x"])
        await asyncio.to_thread(migrate.upgrade, old_url)
        # All at once: whoever looks first changes the statements of the others.
        appended = await asyncio.gather(*(chats.append_items(name, ["x"], create=True) for name in "stu"))
        assert [it.last_position for it in appended] == [1, 1, 1]
        assert (await chats.get_session("s", last_items=1)).items[0].data == "x"


async def test_a_storage_that_needs_no_items_sees_those_of_others_soon_after_a_migration(
    old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_call, "_AGAIN_SECONDS", 0.0)
    async with open_storage(old_url) as storage, open_storage(old_url) as another:
        chats = _chats(storage)
        await chats.create_session("s")
        await asyncio.to_thread(migrate.upgrade, old_url)
        await fill(another, key("s", namespace="sessions"), "1", "2")
        assert (await chats.get_session("s")).last_position == 2
        assert [it.item_count for it in (await chats.list_sessions()).sessions] == [2]


async def test_a_storage_goes_on_with_states_when_the_tables_are_taken_back(old_url: str) -> None:
    await asyncio.to_thread(migrate.upgrade, old_url)
    async with open_storage(old_url) as storage:
        chats = _chats(storage)
        await chats.append_items("s", ["x"], create=True)
        await asyncio.to_thread(migrate.downgrade, old_url, revision=PREVIOUS)
        outcomes = await asyncio.gather(
            chats.get_session("s"),
            chats.update_session("s", increment),
            chats.create_session("t"),
            chats.list_sessions(),
            storage.purge_expired(),
            storage.clear("elsewhere"),
        )
        assert outcomes[0].success
        assert outcomes[1].unwrap()["n"] == 1
        assert (await chats.get_session("s")).unwrap()["n"] == 1
        with pytest.raises(SchemaError, match="needs revision 0002"):
            await chats.append_items("s", ["x"])
        await asyncio.to_thread(migrate.upgrade, old_url)
        assert (await chats.append_items("s", ["x"])).last_position == 1


async def test_a_missing_table_at_the_previous_revision_is_an_error_of_the_schema(old_url: str) -> None:
    async with open_storage(old_url) as storage:
        chats = _chats(storage)
        await chats.create_session("s")
        assert isinstance(storage, SqlStorageProvider)
        gateway = storage._gateway
        schema = "" if gateway.schema is None else f"{gateway.schema}."
        rename = f"ALTER TABLE {schema}sessions RENAME TO elsewhere"
        await gateway.run(lambda lease: gateway._backend.driver.command(lease.driver, rename), writing=True)
        for _ in range(2):
            with pytest.raises(SchemaError, match="its table 'sessions' is gone"):
                await chats.get_session("s")


async def test_a_call_that_needs_items_keeps_its_connection(old_url: str) -> None:
    async with open_storage(old_url, pool_size=1) as storage:
        chats = _chats(storage)
        await chats.create_session("s")
        assert isinstance(storage, SqlStorageProvider)
        (lease,) = storage._gateway.channel.connections._idle
        for call in _NEED_ITEMS.values():
            with pytest.raises(SchemaError):
                await call(chats)
        assert [*storage._gateway.channel.connections._idle] == [lease]

"""A stored session is never reported as missing: hidden rows, and writes that triggers and rules swallow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

import pytest

from sessionstore import SchemaError, SessionManager, SqlStorageProvider, StorageError, open_storage
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import draft, increment, key, new_chat, rewrite
from tests.support.bystander import ask, role, until_quiet
from tests.support.databases import driven
from tests.support.opening import in_use

_GRANTS: Final = (
    "GRANT USAGE ON SCHEMA sessionstore TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sessionstore TO {role}",
)
_SECURED: Final = "ALTER TABLE sessionstore.sessions ENABLE ROW LEVEL SECURITY"

Call: TypeAlias = Callable[[SqlStorageProvider], Awaitable[Any]]
Change: TypeAlias = Callable[[], Awaitable[Any]]

_HIDING: Final = {
    "no policy": (),
    "own rows": ("CREATE POLICY p ON sessionstore.sessions USING (owner_id = current_user)",),
    "only reading": ("CREATE POLICY p ON sessionstore.sessions FOR SELECT USING (true)",),
    "restricted": (
        "CREATE POLICY p ON sessionstore.sessions USING (true)",
        "CREATE POLICY q ON sessionstore.sessions AS RESTRICTIVE USING (owner_id IS NULL)",
    ),
    "for somebody else": ("CREATE POLICY p ON sessionstore.sessions TO pg_monitor USING (true)",),
}


@pytest.mark.parametrize("policies", _HIDING.values(), ids=list(_HIDING))
async def test_row_level_security_that_may_hide_rows_is_refused_by_the_first_call(
    postgres: Database, driver: str, policies: tuple[str, ...]
) -> None:
    async with open_storage(postgres.url) as storage:
        await storage.create(draft())
    for statement in (_SECURED, *policies):
        ask(postgres, statement)
    with role(postgres, *_GRANTS) as url:
        async with open_storage(driven(url, driver)) as storage:
            for call in (storage.get(key()), storage.delete(key()), storage.list(), storage.create(draft())):
                with pytest.raises(SchemaError, match=r"row level security hides rows of 'sessions'.*BYPASSRLS"):
                    await call
        # Whoever owns the table sees all, and is not bothered.
        async with open_storage(postgres.url) as storage:
            assert await storage.exists(key())


async def test_policies_that_let_all_pass_are_no_hindrance(postgres: Database, driver: str) -> None:
    for statement in (
        _SECURED,
        "CREATE POLICY r ON sessionstore.sessions FOR SELECT USING (true)",
        "CREATE POLICY i ON sessionstore.sessions FOR INSERT WITH CHECK (true)",
        "CREATE POLICY u ON sessionstore.sessions FOR UPDATE USING (true)",
        "CREATE POLICY d ON sessionstore.sessions FOR DELETE USING (true)",
        "CREATE POLICY n ON sessionstore.sessions TO pg_monitor USING (false)",
    ):
        ask(postgres, statement)
    with role(postgres, *_GRANTS) as url:
        async with open_storage(driven(url, driver)) as storage:
            assert (await storage.create(draft())).created
            assert await storage.get(key()) is not None
            assert await storage.delete(key())


async def test_row_level_security_of_items_is_refused_by_the_first_call(postgres: Database, driver: str) -> None:
    ask(postgres, "ALTER TABLE sessionstore.items ENABLE ROW LEVEL SECURITY")
    with role(postgres, *_GRANTS) as url:
        async with open_storage(driven(url, driver)) as storage:
            with pytest.raises(SchemaError, match=r"row level security hides rows of 'items'"):
                await storage.get(key())


@pytest.mark.parametrize("command", ["INSERT", "UPDATE", "DELETE"])
async def test_a_rule_that_is_made_after_the_first_call_is_named(url: str, postgres: Database, command: str) -> None:
    async with open_storage(url) as storage:
        chats = SessionManager(new_chat, storage, "chat")
        await chats.create_session("a")
        ask(postgres, f"CREATE RULE r AS ON {command} TO sessionstore.sessions DO INSTEAD NOTHING")
        creating: Change = lambda: chats.create_session("b")  # noqa: E731
        updating: Change = lambda: chats.update_session("a", increment)  # noqa: E731
        deleting: Change = lambda: chats.delete_session("a")  # noqa: E731
        refused = {"INSERT": (creating,), "UPDATE": (updating, creating), "DELETE": (deleting,)}
        for call in refused[command]:
            with pytest.raises(SchemaError, match=r"'sessions' .* has rules .*DROP RULE"):
                await call()
        assert (await chats.get_session("a")).success


async def test_a_policy_that_is_made_after_the_first_call_and_refuses_writes_is_named(
    postgres: Database, driver: str
) -> None:
    with role(postgres, *_GRANTS) as url:
        async with open_storage(driven(url, driver)) as storage:
            chats = SessionManager(new_chat, storage, "chat")
            await chats.create_session("a")
            ask(postgres, _SECURED)
            ask(postgres, "CREATE POLICY p ON sessionstore.sessions USING (true) WITH CHECK (owner_id = 'me')")
            for changing in (chats.update_session("a", increment), chats.create_session("b")):
                with pytest.raises(SchemaError, match="row level security"):
                    await changing


@pytest.mark.parametrize("table", ["sessions", "items"])
async def test_rules_are_refused_by_the_first_call(url: str, postgres: Database, table: str) -> None:
    ask(postgres, f"CREATE RULE r AS ON DELETE TO sessionstore.{table} DO INSTEAD NOTHING")
    async with open_storage(url) as storage:
        with pytest.raises(SchemaError, match=rf"'{table}' .* has rules .*DROP RULE"):
            await storage.get(key())


def _swallow(database: Database, event: str) -> None:
    """A trigger that returns NULL, without a word, for each row of this event."""
    body = "BEGIN RETURN NULL; END"
    ask(database, f"CREATE OR REPLACE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
    ask(
        database,
        f"CREATE TRIGGER t BEFORE {event} ON sessionstore.sessions FOR EACH ROW EXECUTE FUNCTION swallow()",
    )


_SWALLOWED: Final[dict[str, tuple[str, Call]]] = {
    "create": ("INSERT", lambda storage: storage.create(draft("new"))),
    "create_many": ("INSERT", lambda storage: storage.create_many([draft("new"), draft("newer")])),
    "set": ("INSERT", lambda storage: storage.set(draft("new"))),
    "overwrite": ("UPDATE", lambda storage: storage.set(draft("s"))),
    "delete": ("DELETE", lambda storage: storage.delete(key("s"))),
    "delete_many": ("DELETE", lambda storage: storage.delete_many([key("s"), key("t")])),
    "clear": ("DELETE", lambda storage: storage.clear()),
    "update_locked": (
        "UPDATE",
        lambda storage: storage.update_locked_many([key("s"), key("t")], lambda it: rewrite(it, '{"n": 5}')),
    ),
}


@pytest.fixture
async def storage(url: str) -> AsyncIterator[SqlStorageProvider]:
    async with open_storage(url) as storage:
        assert isinstance(storage, SqlStorageProvider)
        await storage.create_many([draft("s", '{"n": 1}'), draft("t", '{"n": 1}')])
        yield storage


@pytest.mark.parametrize(("event", "call"), _SWALLOWED.values(), ids=list(_SWALLOWED))
async def test_a_write_that_a_trigger_swallows_is_an_error_that_names_triggers(
    storage: SqlStorageProvider, postgres: Database, event: str, call: Call
) -> None:
    _swallow(postgres, event)
    async with asyncio.timeout(20):
        with pytest.raises(StorageError, match="a trigger of the table 'sessions' that returns NULL"):
            await call(storage)
    assert in_use(storage) == 0
    await until_quiet(postgres)
    assert await storage.exists_many([key("s"), key("t"), key("new")]) == [True, True, False]


async def test_an_update_that_a_trigger_swallows_is_an_error_that_names_triggers(
    storage: SqlStorageProvider, postgres: Database
) -> None:
    chats: SessionManager[Any] = SessionManager(lambda _: {"n": 0}, storage, "chat")
    _swallow(postgres, "UPDATE")
    async with asyncio.timeout(20):
        with pytest.raises(StorageError, match="a trigger of the table 'sessions' that returns NULL"):
            await chats.update_session("s", increment)
    assert (await chats.get_session("s")).unwrap() == {"n": 1}


async def test_a_row_that_was_not_asked_for_is_an_error_and_not_an_absent_session(
    storage: SqlStorageProvider, postgres: Database
) -> None:
    """As where two use one connection, and read each other's answers."""
    body = "BEGIN NEW.session_id := 'other'; RETURN NEW; END"
    ask(postgres, f"CREATE FUNCTION rename() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
    ask(
        postgres,
        "CREATE TRIGGER t BEFORE INSERT ON sessionstore.sessions FOR EACH ROW EXECUTE FUNCTION rename()",
    )
    with pytest.raises(StorageError, match="a row that was not asked for"):
        await storage.create(draft("new"))

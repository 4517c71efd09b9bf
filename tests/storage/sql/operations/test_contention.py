from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sessionstore import SessionManager, open_storage
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import copied_file, sqlite_url
from sessionstore.testing.support.documents import TTL, Chat, increment, new_chat
from sessionstore.updates.rounds import OPTIMISTIC_ROUNDS
from tests.support.bystander import ask, states_of_others, until_quiet
from tests.support.processes import pythons
from tests.support.wire import WireCounter


async def test_many_updaters_of_one_session_lose_no_update_and_none_starves(url: str) -> None:
    async with AsyncExitStack() as stack:
        storages = [await stack.enter_async_context(open_storage(url)) for _ in range(3)]
        desks = [SessionManager(new_chat, storage, ttl=TTL) for storage in storages]
        await desks[0].create_session("s")

        async def twenty_turns(who: int) -> None:
            def append(state: Chat) -> None:
                state["turns"].append(who)

            for _ in range(20):
                (await desks[who % 3].update_session("s", append)).unwrap()

        await asyncio.gather(*map(twenty_turns, range(24)))
        turns = (await desks[0].get_session("s")).unwrap()["turns"]
    assert sorted(turns) == sorted([*range(24)] * 20)


@pytest.mark.parametrize("database_kind", ["postgresql", "sqlite"])
async def test_processes_that_update_one_session_lose_nothing(
    database_kind: str, request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path
) -> None:
    if database_kind == "sqlite":
        url, processes = sqlite_url(copied_file(sqlite_template, tmp_path / "sessions.db")), 4
    else:
        url, processes = request.getfixturevalue("postgres").url, 2
    async with open_storage(url) as storage:
        chats = SessionManager(new_chat, storage, namespace="chat")
        await chats.create_session("s")
        await pythons(processes, "-m", "tests.storage.sql.operations.worker", url, "s", "60")
        assert (await chats.get_session("s")).unwrap()["n"] == 60 * processes


class _Stop(BaseException):
    """Not an Exception, as KeyboardInterrupt is none."""


def _disturbed(postgres: Database, then: Callable[[Chat], None]) -> Callable[[Chat], None]:
    """An update whose optimistic rounds are all lost to somebody else; ``then`` comes under the row lock."""
    rounds = 0

    def update(state: Chat) -> None:
        nonlocal rounds
        rounds += 1
        if rounds <= OPTIMISTIC_ROUNDS:
            ask(postgres, "UPDATE sessionstore.sessions SET version = version + 1")
        else:
            then(state)

    return update


async def test_an_update_that_loses_again_and_again_takes_the_row_lock(url: str, postgres: Database) -> None:
    async with WireCounter(url) as wire, open_storage(wire.url) as storage:
        chats = SessionManager(new_chat, storage, ttl=TTL)
        await chats.create_session("s")
        with wire.counting() as seen:
            result = await chats.update_session("s", _disturbed(postgres, increment))
        assert result.unwrap()["n"] == 1
        assert (await chats.get_session("s")).unwrap() == result.data
    begin, locking = seen.statements[-4:-2]
    assert begin.startswith("BEGIN")
    assert _waits_for_rows(locking)
    assert seen.statements[-1] == "COMMIT"
    assert sum(map(_waits_for_rows, seen.statements)) == 1


def _waits_for_rows(statement: str) -> bool:
    return "UPDATE OF sessions" in statement and "SKIP LOCKED" not in statement


@pytest.mark.parametrize("error", [LookupError("of the caller"), _Stop("of the caller")], ids=["error", "stop"])
async def test_an_error_of_a_function_under_the_row_lock_reaches_the_caller_and_nothing_is_written(
    url: str, postgres: Database, error: BaseException
) -> None:
    async with open_storage(url, pool_size=1) as storage:
        chats = SessionManager(new_chat, storage, ttl=TTL)
        await chats.create_session("s")

        def spoil(state: Chat) -> None:
            state["n"] = 1000
            raise error

        with pytest.raises(type(error)) as raised:
            await chats.update_session("s", _disturbed(postgres, spoil))
        assert raised.value is error
        await until_quiet(postgres)
        assert states_of_others(postgres) <= {"idle"}
        assert (await chats.update_session("s", increment)).unwrap()["n"] == 1

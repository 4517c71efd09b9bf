"""Writes of every kind on two sessions, and whether they left nothing behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from sessionstore import SqlStorageProvider
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import draft, key, rewrite
from tests.support.bystander import ask, until_quiet
from tests.support.discretion import say_more, secretive
from tests.support.opening import in_use

Call: TypeAlias = Callable[[SqlStorageProvider], Awaitable[Any]]

WRITES: dict[str, Call] = {
    "update": lambda storage: secretive(storage).update_session("b", say_more),
    "update_locked": lambda storage: storage.update_locked(key("b"), rewrite),
    "delete": lambda storage: storage.delete(key("b")),
    "set": lambda storage: storage.set(draft("b")),
    "set_many": lambda storage: storage.set_many([draft("a"), draft("b")]),
    "delete_many": lambda storage: storage.delete_many([key("a"), key("b")]),
    "update_locked_many": lambda storage: storage.update_locked_many([key("a"), key("b")], rewrite),
}
# Only these wait for whoever holds a row; the others pass it over, and come back when it is free.
LOCKING = {name: call for name, call in WRITES.items() if name.startswith("update_locked")}


async def fill(storage: SqlStorageProvider) -> None:
    for session_id in ("a", "b"):
        await secretive(storage).create_session(session_id)


async def assert_well(storage: SqlStorageProvider, postgres: Database) -> None:
    """Nothing is held, and the next call works."""
    assert in_use(storage) == 0
    await until_quiet(postgres)
    assert (await secretive(storage).create_session()).created
    assert in_use(storage) == 0


def rows(database: Database) -> list[tuple[Any, ...]]:
    return ask(database, "SELECT session_id, version, state::text FROM sessionstore.sessions ORDER BY 1")

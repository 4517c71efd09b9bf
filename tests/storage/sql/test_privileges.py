"""A role that lacks a privilege is told which one by the GRANT statement to run, in every call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, TypeAlias

import pytest
from sqlalchemy.engine import make_url

from sessionstore import StorageError, StorageProvider, open_storage
from sessionstore.storage import Append, Edit, Fork, Window
from sessionstore.storage.items import NewItem
from sessionstore.storage.records import Use
from sessionstore.storage.sql.privileges import MISSING_GRANT, NEEDS, Need, grants
from sessionstore.testing.postgres import PostgresServer
from sessionstore.testing.support.documents import draft, key, rewrite
from tests.support.roles import Deployment, deployment

Call: TypeAlias = Callable[[StorageProvider], Awaitable[Any]]


@pytest.fixture(scope="module")
def deployed(server: PostgresServer) -> Iterator[Deployment]:
    with deployment(server, schema="Our chats") as made:
        yield made


async def _update(storage: StorageProvider, *items: NewItem) -> None:
    document = await storage.get(key(), touch=False)
    assert document is not None
    assert await storage.update(replace(rewrite(document), items=items))


_READS: Final[dict[str, Call]] = {
    "get": lambda storage: storage.get(key(), touch=False),
    "get with items": lambda storage: storage.get(key(), touch=False, window=Window(limit=3)),
    "list logs": lambda storage: storage.list_logs(key()),
    "find": lambda storage: storage.find_many("chat", ["i"]),
    "exists": lambda storage: storage.exists(key()),
    "list": lambda storage: storage.list(states=True),
    "list an owner's": lambda storage: storage.list(owner_id="u", order="recent", namespace="chat"),
    "stats": lambda storage: storage.stats(),
}
_REAPS: Final[dict[str, Call]] = {
    "purge": lambda storage: storage.purge_batch(),
    "count": lambda storage: storage.count_expired(),
}
_WRITES: Final[dict[str, Call]] = {
    "access": lambda storage: storage.get(key()),
    "touch": lambda storage: storage.touch(key()),
    "create": lambda storage: storage.create(draft("new")),
    "create many": lambda storage: storage.create_many([draft("new"), draft("newer", items=[NewItem("1", id="j")])]),
    "update": _update,
    "update with items": lambda storage: _update(storage, NewItem("2")),
    "update under a lock": lambda storage: storage.update_locked(key(), rewrite),
    "append": lambda storage: storage.append(Append(key(), [NewItem("1")])),
    "append with an id": lambda storage: storage.append(Append(key(), [NewItem("1", id="i")])),
    "pop": lambda storage: storage.edit(Edit(key(), newest=1)),
    "trim": lambda storage: storage.edit(Edit(key(), keep=1)),
    "cut": lambda storage: storage.edit(Edit(key(), after=1, items=[NewItem("2")])),
    "redact": lambda storage: storage.edit(Edit(key(), put=(1, "3"))),
    "fork": lambda storage: storage.fork(Fork(key(), key("fork"))),
    "set": lambda storage: storage.set(draft("set")),
    "set again": lambda storage: storage.set_many([draft("set"), draft()]),
    "delete": lambda storage: storage.delete(key("fork")),
    "delete many": lambda storage: storage.delete_many([key("new"), key("newer")]),
    "clear": lambda storage: storage.clear("elsewhere"),
}
_CALLS: Final[dict[Use, dict[str, Call]]] = {
    "service": _READS | _WRITES | _REAPS,
    "reaper": _REAPS,
    "readonly": _READS,
}


@contextmanager
def revoked(deployed: Deployment, use: str, *needs: Need) -> Iterator[None]:
    for need in needs:
        columns = f" ({', '.join(need.columns)})" if need.columns else ""
        target = f"{{schema}}.{need.table}" if need.table else "SCHEMA {schema}"
        deployed.execute(f"REVOKE {need.privilege}{columns} ON {target} FROM {{{use}}}")
    try:
        yield
    finally:
        deployed.grant()


def grant_of(deployed: Deployment, use: str, *needs: Need) -> str:
    return "".join(f"{grant};" for grant in grants(needs, schema=deployed.schema, role=deployed.role(use)))


@pytest.mark.parametrize("use", NEEDS)
async def test_every_call_works_with_what_is_granted(deployed: Deployment, driver: str, use: Use) -> None:
    await _prepared(deployed)
    async with open_storage(deployed.url(use, driver), schema=deployed.schema) as storage:
        for call in _CALLS[use].values():
            await call(storage)


@pytest.mark.parametrize(
    ("use", "need"),
    [pytest.param(use, need, id=f"{use}-{need.privilege}-{need.table}") for use in NEEDS for need in NEEDS[use]],
)
async def test_every_call_names_the_grant_that_is_missing(
    deployed: Deployment, driver: str, use: Use, need: Need
) -> None:
    await _prepared(deployed)
    missed: dict[str, StorageError] = {}
    async with open_storage(deployed.url(use, driver), schema=deployed.schema) as used:
        await used.count_expired()
        with revoked(deployed, use, need):
            async with open_storage(deployed.url(use, driver), schema=deployed.schema) as fresh:
                for storage in (used, fresh):
                    for name, call in _CALLS[use].items():
                        try:
                            await call(storage)
                        except StorageError as error:
                            missed[name] = error
    reaping = [other for other in NEEDS["reaper"] if other[:2] == need[:2]]
    for name, seen in missed.items():
        lacking = reaping if name in _REAPS else [need]
        assert (seen.code, f"`{grant_of(deployed, use, *lacking)}`" in str(seen)) == (MISSING_GRANT, True), name
    # What no call needs would be too much. Only a backup reads receipts for a role that reads.
    assert missed or (use, need.table) == ("readonly", "deletions")


async def _prepared(deployed: Deployment) -> None:
    deployed.execute("TRUNCATE {schema}.sessions, {schema}.deletions")
    async with open_storage(deployed.database.url, schema=deployed.schema) as storage:
        await storage.create_many([draft(items=[NewItem(str(n)) for n in range(4)]), draft("fork"), draft("new")])


async def test_the_error_of_a_role_that_may_not_connect_says_so(deployed: Deployment, driver: str) -> None:
    name = make_url(deployed.database.url).database
    deployed.execute(f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC')
    try:
        async with open_storage(deployed.url("service", driver), schema=deployed.schema) as storage:
            for _ in range(2):
                with pytest.raises(StorageError, match=f'`GRANT CONNECT ON DATABASE {name} TO "service '):
                    await storage.get(key())
    finally:
        deployed.execute(f'GRANT CONNECT ON DATABASE "{name}" TO PUBLIC')

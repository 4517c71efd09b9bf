"""What goes wrong around the store: killed processes, outages, cancelled calls, and callers that race."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import pytest

from sessionstore import StorageUnavailableError, open_storage
from sessionstore.integrations.key_value import StoredKeyValue
from sessionstore.testing.postgres import Database
from tests.support.bystander import kill_connections, locked, until_quiet
from tests.support.processes import ROOT

from .worker import BATCH

_CALLS: Final[Mapping[str, Callable[[StoredKeyValue], Awaitable[object]]]] = {
    "get": lambda store: store.get("k"),
    "get_many": lambda store: store.get_many(["k"]),
    "ttl": lambda store: store.ttl("k"),
    "put": lambda store: store.put("k", {}),
    "put_many": lambda store: store.put_many(["k"], [{}]),
    "put_if_absent": lambda store: store.put_if_absent("k", {}),
    "delete": lambda store: store.delete("k"),
    "delete_many": lambda store: store.delete_many(["k"]),
    "keys": lambda store: store.keys(),
    "collections": lambda store: store.collections(),
    "destroy": lambda store: store.destroy(),
}


@pytest.mark.parametrize("call", _CALLS.values(), ids=list(_CALLS))
async def test_an_outage_is_raised_and_never_an_absent_entry(
    call: Callable[[StoredKeyValue], Awaitable[object]],
) -> None:
    async with open_storage("postgresql://nobody@127.0.0.1:9/nowhere") as storage:
        with pytest.raises(StorageUnavailableError):
            await call(StoredKeyValue(storage))


def _told_by_a_killed_process(url: str) -> list[int]:
    command = [sys.executable, "-m", "tests.integrations.key_value.worker", url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        return told + [int(line) for line in process.stdout.read().splitlines()]


async def test_every_value_that_a_killed_process_had_put_is_stored(shared_url: str) -> None:
    told = _told_by_a_killed_process(shared_url)
    async with open_storage(shared_url) as storage:
        store = StoredKeyValue(storage)
        stored = [[f"{n}-{of}" for of in range(BATCH)] for n in told]
        for n, keys in zip(told, stored, strict=True):
            assert await store.get_many(keys) == [{"n": n, "again": True}] * BATCH
        under_way = {key for key in await store.keys() if key.partition("-")[0] == str(told[-1] + 1)}
        for key in under_way:
            value = await store.get(key)
            assert value in ({"n": told[-1] + 1}, {"n": told[-1] + 1, "again": True})
        assert set(await store.keys()) == {key for keys in stored for key in keys} | under_way


async def test_calls_on_killed_connections_are_answered(url_of_kind: Callable[[str], str], database: Database) -> None:
    async with open_storage(url_of_kind("postgresql")) as storage:
        store = StoredKeyValue(storage)
        await store.put("k", {"n": 1})
        kill_connections(database)
        assert await store.get("k") == {"n": 1}
        kill_connections(database)
        await store.put("k", {"n": 2}, ttl=60)
        kill_connections(database)
        assert await store.put_if_absent("k", {"n": 3}) is False
        kill_connections(database)
        assert await store.delete("k") is True


async def test_a_cancelled_put_leaves_the_entry_and_other_callers_alone(
    url_of_kind: Callable[[str], str], database: Database
) -> None:
    async with open_storage(url_of_kind("postgresql")) as storage:
        store = StoredKeyValue(storage)
        await store.put_many(["held", "free"], [{"n": 1}] * 2)
        with locked(database, "default_collection/held"):
            cancelled = asyncio.create_task(store.put("held", {"n": 2}))
            waiting = asyncio.create_task(store.put("held", {"n": 3}))
            await store.put("free", {"n": 2})
            cancelled.cancel()
            await asyncio.wait([cancelled])
            assert await store.get_many(["held", "free"]) == [{"n": 1}, {"n": 2}]
        await waiting
        await until_quiet(database)
        assert (cancelled.cancelled(), await store.get("held")) == (True, {"n": 3})


async def test_exactly_one_of_racing_callers_in_two_storages_puts(shared_url: str) -> None:
    async with open_storage(shared_url) as one, open_storage(shared_url) as other:
        stores = [StoredKeyValue(one), StoredKeyValue(other)]
        for n in range(5):
            stored = await asyncio.gather(
                *(stores[of % 2].put_if_absent(f"k{n}", {"of": of}, ttl=60) for of in range(10))
            )
            assert stored.count(True) == 1
            assert await stores[0].get(f"k{n}") == {"of": stored.index(True)}


async def test_an_entry_that_expires_before_the_answer_counts_as_put(shared_url: str) -> None:
    async with open_storage(shared_url) as storage:
        store = StoredKeyValue(storage)
        for ttl in (1e-6, 1e-3):
            await store.put("put", {}, ttl=ttl)
            assert await store.put_if_absent(f"absent {ttl}", {}, ttl=ttl) is True

"""A rolling deploy: processes of two versions of a service's code on one table, under load."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SessionManager, open_storage
from sessionstore.testing.support.documents import new_chat
from tests.support.processes import ROOT

SESSIONS = [f"s{n}" for n in range(12)]

# What the versions of the service have in common: load until stdin ends, then a report.
WORKER = """
import asyncio, json, random, sys
from sessionstore import CorruptStateError, open_storage

async def work(make, update, url, names):
    done, said, refused, others, rounds = dict.fromkeys(names, 0), dict.fromkeys(names, 0), 0, [], 0
    stopped = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    async with open_storage(url, pool_size=4) as storage:
        chats = make(storage)
        async def one(name):
            nonlocal refused
            given = [item] if rounds % 4 == 0 else []
            result = await chats.update_session(name, update, append=given)
            if result.success:
                done[name] += 1
                said[name] += len(given)
            elif isinstance(result.error, CorruptStateError) and (result.error.found, result.error.known) == (2, 1):
                refused += 1
            else:
                others.append(str(result.error))
            read = await chats.get_session(name, last_items=3)
            if not read.success and getattr(read.error, "found", None) != 2:
                others.append(str(read.error))
        while not stopped.done():
            await asyncio.gather(*map(one, random.sample(names, 8)))
            rounds += 1
            if rounds == 3:
                print("ready", flush=True)
    print(json.dumps({"done": done, "said": said, "refused": refused, "others": others}), flush=True)
"""
OLD = """
from sessionstore import SessionManager
item = "said"
def make(storage):
    return SessionManager(lambda _: {"n": 0}, storage, "chat")
def update(state):
    state["n"] += 1
"""
NEW = """
from pydantic import BaseModel
from sessionstore import SessionManager
class Totals(BaseModel):
    turns: int
class Chat(BaseModel):
    totals: Totals
class Message(BaseModel):
    text: str
item = Message(text="said")
def make(storage):
    return SessionManager(lambda _: Chat(totals=Totals(turns=0)), storage, "chat", state_type=Chat, item_type=Message,
        state_version=2, upgrades={1: lambda state: {"totals": {"turns": state["n"]}}},
        item_version=2, item_upgrades={1: lambda text: {"text": text}})
def update(chat):
    chat.totals.turns += 1
"""
RUN = "asyncio.run(work(make, update, sys.argv[1], json.loads(sys.argv[2])))"


class Service:
    """One process of the service."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def started(cls, file: Path, url: str, stack: AsyncExitStack) -> Service:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(file), url, json.dumps(SESSIONS), stdin=PIPE, stdout=PIPE, cwd=ROOT
        )
        stack.callback(lambda: process.kill() if process.returncode is None else None)
        service = cls(process)
        assert await service._line() == "ready"
        return service

    async def _line(self) -> str:
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode().strip()

    async def stopped(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.close()
        report: dict[str, Any] = json.loads(await self._line())
        assert await self._process.wait() == 0
        return report


@pytest.mark.parametrize("provider_kind", ["postgresql", "sqlite"])
async def test_a_rolling_deploy_of_a_new_shape_loses_no_update(storage_url: str, tmp_path: Path) -> None:
    files = {}
    for name, code in (("old", OLD), ("new", NEW)):
        files[name] = tmp_path / f"{name}.py"
        files[name].write_text(f"{WORKER}\n{code}\n{RUN}\n")
    async with open_storage(storage_url) as storage:
        before: SessionManager[Any] = SessionManager(lambda _: {"n": 0}, storage, "chat")
        for name in SESSIONS:
            await before.create_session(name)
        reports: list[dict[str, Any]] = []
        async with AsyncExitStack() as stack:
            old = [await Service.started(files["old"], storage_url, stack) for _ in range(2)]
            new = []
            for service in old:
                new.append(await Service.started(files["new"], storage_url, stack))
                reports.append(await service.stopped())
            after: SessionManager[Any] = SessionManager(
                new_chat,
                storage,
                "chat",
                state_version=2,
                upgrades={1: lambda state: {"totals": {"turns": state["n"]}}},
                item_version=2,
                item_upgrades={1: lambda text: {"text": text}},
            )
            upgraded = await after.upgrade_states(batch_size=50)
            reports += [await service.stopped() for service in new]
        assert [report["others"] for report in reports] == [[]] * 4
        # Old code met new states, refused them, and changed none.
        assert sum(report["refused"] for report in reports[:2]) > 0
        assert [report["refused"] for report in reports[2:]] == [0, 0]
        done, said = (sum((Counter(report[of]) for report in reports), Counter[str]()) for of in ("done", "said"))
        for name in SESSIONS:
            session = await after.get_session(name, last_items=1_000_000)
            assert session.unwrap() == {"totals": {"turns": done[name]}}
            assert [item.data for item in session.items] == [{"text": "said"}] * said[name]
        assert (upgraded.misfits, upgraded.held, upgraded.complete) == (0, 0, True)
        assert upgraded.items > 0
        assert (await after.upgrade_states()).states == 0

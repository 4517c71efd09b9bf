"""Several processes append to the same transcripts, and are killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator

import pytest
from claude_agent_sdk import fold_session_summary

from sessionstore import open_storage
from sessionstore.integrations.claude_agent_sdk import StoredSessionStore
from tests.integrations.frameworks import ROOT

from .entries import entry, key, title, uuids
from .worker import SESSIONS


@pytest.fixture
async def workers(shared_url: str) -> AsyncIterator[list[Process]]:
    """Two processes that are ready."""
    module = "tests.integrations.claude_agent_sdk.worker"
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, shared_url, name, cwd=ROOT, stdin=PIPE, stdout=PIPE
        )
        for name in ("one", "two")
    ]
    for process in started:
        assert await _line(process) == "ready"
    yield started
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _line(process: Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


def _go(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")


async def test_two_processes_make_new_sessions_and_are_killed(shared_url: str, workers: list[Process]) -> None:
    for process in workers:
        _go(process)
    for process in workers:
        assert await _line(process) == "raced"
    async with open_storage(shared_url) as storage:
        store = StoredSessionStore(storage)
        for number in range(SESSIONS):
            found = uuids(await store.load(key(session=f"new {number}")))
            assert sorted(found) == sorted(f"{name}.{at}" for name in ("one", "two", "both") for at in range(3))
            assert all(
                found[at : at + 3] == [f"{found[at].partition('.')[0]}.{n}" for n in range(3)] for at in (0, 3, 6)
            )
        assert len(await store.list_sessions("p")) == SESSIONS
        await _each_summary_is_that_of_the_transcript(store)

        killed, other = workers
        _go(killed)
        while int(await _line(killed)) < 5:
            pass
        os.kill(killed.pid, signal.SIGKILL)
        assert killed.stdout is not None
        rest = (await killed.stdout.read()).decode().split()
        told = max([5, *map(int, rest)])
        entries = await store.load(key(session="killed")) or []
        there = len(entries) // 3
        assert told + 1 <= there <= told + 2  # the last one may have landed before it could be told
        batches = [[title(f"{n}"), entry(f"{n}.0"), entry(f"{n}.1")] for n in range(there)]
        assert entries == [it for batch in batches for it in batch]
        await _each_summary_is_that_of_the_transcript(store)

        # Another process delivers everything again, from the start.
        _go(other)
        while int(await _line(other)) < there:
            pass
        os.kill(other.pid, signal.SIGKILL)
        await other.wait()
        ids = [it["uuid"] for it in await store.load(key(session="killed")) or [] if "uuid" in it]
        assert len(set(ids)) == len(ids) >= 2 * there
        await _each_summary_is_that_of_the_transcript(store)


async def _each_summary_is_that_of_the_transcript(store: StoredSessionStore) -> None:
    for summary in await store.list_session_summaries("p"):
        loaded = await store.load(key(session=summary["session_id"]))
        assert loaded is not None
        assert summary["data"] == fold_session_summary(None, key(session=summary["session_id"]), loaded)["data"]


async def test_a_subpath_is_deleted_beside_appends(shared_url: str) -> None:
    async with open_storage(shared_url) as one, open_storage(shared_url) as another:
        writing, deleting = StoredSessionStore(one), StoredSessionStore(another)
        agent, session = key(subpath="subagents/agent-1"), key()
        await writing.append(session, [title("kept")])
        written = asyncio.Event()

        async def write() -> None:
            for number in range(30):
                await writing.append(agent, [entry(f"{number}.{at}") for at in range(3)])
            written.set()

        async def delete() -> None:
            while not written.is_set():
                await deleting.delete(agent)
                found = uuids(await deleting.load(agent))
                assert [it.partition(".")[2] for it in found] == ["0", "1", "2"] * (len(found) // 3)

        await asyncio.gather(write(), delete())
        left = await deleting.load(agent)
        assert await deleting.list_subkeys(session) == ([] if left is None else ["subagents/agent-1"])
        assert await deleting.load(session) == [title("kept")]


async def test_a_session_is_deleted_beside_appends(shared_url: str) -> None:
    async with open_storage(shared_url) as one, open_storage(shared_url) as another:
        writing, deleting = StoredSessionStore(one), StoredSessionStore(another)
        written = asyncio.Event()

        async def write() -> None:
            for number in range(20):
                batch = [entry(f"{number}.{at}", gitBranch=f"{number}") for at in range(2)]
                await writing.append(key(), batch)
                await writing.append(key(), batch)
                await writing.append(key(subpath="subagents/agent-1"), batch)
            written.set()

        async def delete() -> None:
            while not written.is_set():
                await deleting.delete(key())

        await asyncio.gather(write(), delete())
        for transcript in (key(), key(subpath="subagents/agent-1")):
            found = uuids(await deleting.load(transcript))
            assert len(set(found)) == len(found)
            assert [it.partition(".")[2] for it in found] == ["0", "1"] * (len(found) // 2)
        await _each_summary_is_that_of_the_transcript(deleting)

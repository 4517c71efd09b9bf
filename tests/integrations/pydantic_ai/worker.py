"""A service in a process of its own, which does one thing and tells what happened, a message for each step.

A message is in the pipe when it was sent, and killing the process does not take it back.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from pydantic_ai import Agent, DeferredToolRequests
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict
from pydantic_ai.models.test import TestModel

from sessionstore import open_storage
from sessionstore.integrations.pydantic_ai import StoredConversationStore

from .talk import ID, agent, question

# Forked from a process that has imported everything, which takes longer than a test.
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__, "sessionstore.storage.sql", "aiosqlite", "psycopg", "pytest"])


@dataclass
class Worker:
    """A process of the test.

    Attributes:
        process: The process.
        pipe: What it tells, and what it is told.
    """

    process: BaseProcess
    pipe: Connection

    def told(self) -> list[str]:
        """All that it told until its end."""
        told: list[str] = []
        try:
            while True:
                told.append(self.pipe.recv())
        except EOFError:
            self.process.join()
            return told


@contextmanager
def working(url: str, command: str, *arguments: str) -> Iterator[Worker]:
    """Starts a process, and kills it if it still runs at the end."""
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=main, args=(theirs, url, command, *arguments))
    process.start()
    theirs.close()
    try:
        yield Worker(process, ours)
    finally:
        process.kill()
        process.join()
        ours.close()


def done(url: str, command: str, *arguments: str, status: int = 0) -> list[str]:
    """Runs a process to its end; returns what it told."""
    with working(url, command, *arguments) as worker:
        told = worker.told()
        assert worker.process.exitcode == status
        return told


def main(pipe: Connection, url: str, command: str, *arguments: str) -> None:
    asyncio.run(Service(pipe).work(url, command, *arguments))


class Service:
    """What the process does.

    Args:
        pipe: Where it tells what happened.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    async def work(self, url: str, command: str, *arguments: str) -> None:
        async with open_storage(url) as storage:
            await getattr(self, command)(StoredConversationStore(storage), *arguments)

    async def run(self, store: StoredConversationStore, prompt: str, then: str = "") -> None:
        """A turn of the agent; the process may be killed before or after the save."""
        loaded = await store.load(ID) or Conversation(conversation_id=ID)
        result = await agent.run(prompt, conversation=loaded)
        if then == "killed before the save":
            os.kill(os.getpid(), signal.SIGKILL)
        await store.save(result)
        if then == "killed after the save":
            os.kill(os.getpid(), signal.SIGKILL)
        self._pipe.send("waits" if isinstance(result.output, DeferredToolRequests) else result.output)

    async def approve(self, store: StoredConversationStore) -> None:
        """Goes on with what waits for an approval."""
        loaded = await store.load(ID)
        assert loaded is not None
        assert loaded.deferred_tool_requests is not None
        approved = loaded.deferred_tool_requests.build_results(approve_all=True)
        result = await agent.run(conversation=loaded, deferred_tool_results=approved)
        await store.save(result)
        self._pipe.send(result.output)

    async def rival(self, store: StoredConversationStore, name: str) -> None:
        """Loads, waits for the word, runs pydantic-ai's test model, and saves."""
        loaded = await store.load(ID)
        self._pipe.send("loaded")
        self._pipe.recv()
        result = await Agent(TestModel(custom_output_text=name)).run(f"I am {name}", conversation=loaded)
        try:
            await store.save(result)
        except ConversationConflict:
            self._pipe.send("conflict")
        else:
            self._pipe.send("saved")

    async def count(self, store: StoredConversationStore, name: str, times: str) -> None:
        """Adds messages, one save each, and loads again after a conflict."""
        conflicts = 0
        for number in range(int(times)):
            while True:
                talk = await store.load(ID) or Conversation(conversation_id=ID)
                talk.messages.append(question(f"{name}-{number}"))
                try:
                    await store.save(talk)
                except ConversationConflict:
                    conflicts += 1
                    continue
                break
            self._pipe.send(f"{name}-{number}")
        self._pipe.send(f"{conflicts} conflicts")

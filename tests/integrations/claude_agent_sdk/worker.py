"""A process that appends to transcripts: `python -m tests.integrations.claude_agent_sdk.worker URL NAME`.

It waits for a line, appends a batch of its own and one that every worker has to new sessions, and says so. Then it
appends batches to one session, and says which are there, until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count

from sessionstore import open_storage
from sessionstore.integrations.claude_agent_sdk import StoredSessionStore

from .entries import entry, key, title

SESSIONS = 10


async def main(url: str, name: str) -> None:
    async with open_storage(url) as storage:
        store = StoredSessionStore(storage)
        await storage.check()
        print("ready", flush=True)  # noqa: T201
        sys.stdin.readline()
        for number in range(SESSIONS):
            session, branch = f"new {number}", {"gitBranch": name}
            await store.append(key(session=session), [entry(f"{name}.{at}", **branch) for at in range(3)])
            await store.append(key(session=session), [entry(f"both.{at}") for at in range(3)])
        print("raced", flush=True)  # noqa: T201
        sys.stdin.readline()
        for number in count():
            await store.append(key(session="killed"), [title(f"{number}"), entry(f"{number}.0"), entry(f"{number}.1")])
            print(number, flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

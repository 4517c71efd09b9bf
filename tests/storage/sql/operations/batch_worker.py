"""One process of several that write to the same sessions.

python -m tests.storage.sql.operations.batch_worker URL ROUNDS SESSION_ID...
"""

from __future__ import annotations

import asyncio
import random
import sys

from sessionstore import SessionManager, open_storage
from sessionstore.testing.support.documents import increment, new_chat


async def main(url: str, rounds: int, *names: str) -> None:
    async with open_storage(url) as storage:
        chats = SessionManager(new_chat, storage, namespace="chat")
        for _ in range(rounds):
            # Each in an order of its own, and each twice.
            shuffled = random.sample(names * 2, len(names) * 2)
            for result in await asyncio.gather(*(chats.update_session(name, increment) for name in shuffled)):
                result.unwrap()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))

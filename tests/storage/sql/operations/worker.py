"""One process of several that write to one session.

python -m tests.storage.sql.operations.worker URL SESSION_ID UPDATES
"""

from __future__ import annotations

import asyncio
import sys

from sessionstore import SessionManager, open_storage
from sessionstore.testing.support.documents import increment, new_chat


async def main(url: str, session_id: str, updates: int) -> None:
    async with open_storage(url) as storage:
        chats = SessionManager(new_chat, storage, namespace="chat")
        for _ in range(updates // 2):
            for result in await asyncio.gather(*(chats.update_session(session_id, increment) for _ in range(2))):
                result.unwrap()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))

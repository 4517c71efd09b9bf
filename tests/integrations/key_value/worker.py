"""A process that puts entries until it is killed, and says which are stored: `python -m ...worker STORAGE_URL`."""

from __future__ import annotations

import asyncio
import sys
from itertools import count

from sessionstore import open_storage
from sessionstore.integrations.key_value import StoredKeyValue

BATCH = 5


async def main(url: str) -> None:
    async with open_storage(url) as storage:
        store = StoredKeyValue(storage)
        for n in count():
            keys = [f"{n}-{of}" for of in range(BATCH)]
            await store.put_many(keys, [{"n": n}] * BATCH, ttl=600)
            await asyncio.gather(*(store.put(key, {"n": n, "again": True}, ttl=3600) for key in keys))
            print(n, flush=True)  # noqa: T201  # the parent reads it


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

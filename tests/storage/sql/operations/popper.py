"""One process of several that remove items of one session until none is left. Prints the items, one on a line.

python -m tests.storage.sql.operations.popper URL SESSION_ID
"""

from __future__ import annotations

import asyncio
import sys

from sessionstore import open_storage
from sessionstore.storage import Edit
from sessionstore.testing.support.documents import key


async def main(url: str, session_id: str) -> None:
    async with open_storage(url) as storage:
        while True:
            edits = [storage.edit(Edit(key(session_id), newest=count)) for count in (1, 2)]
            got = [item.text for edited in await asyncio.gather(*edits) if edited for item in edited.removed]
            if not got:
                return
            sys.stdout.writelines(f"{text}\n" for text in got)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))

"""A process of writers that is going to be killed: python -m tests.faults.client URL NAME SESSION_ID...

It tells of each write before it asks for it ("try"), and after it was told of it ("landed", "unknown", "refused" or
"unexpected"), a line each. A line is in the pipe when the write returns, and killing the process does not take it back.
It ends when its input does.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
from collections.abc import Iterable, Iterator, Sequence

from sessionstore import SessionManager, StorageUnavailableError, UpdateOutcomeUnknownError, open_storage

from .tally import State
from .writers import sessions_of, write

_WRITERS = 8


def tell(*words: object) -> None:
    os.write(1, f"{' '.join(map(str, words))}\n".encode())


async def write_and_tell(
    manager: SessionManager[State], session_ids: Sequence[str], writer: str, numbers: Iterable[int]
) -> None:
    """Writes to the sessions, at random, and tells of each write."""
    for number in numbers:
        session = random.choice(session_ids)  # noqa: S311
        tell("try", session, writer, number)

        try:
            result = await write(manager, session, writer, number)
            if result.error is not None:
                raise result.error
        except UpdateOutcomeUnknownError:
            tell("unknown", session, writer, number)
        except StorageUnavailableError:
            tell("refused", session, writer, number)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
            tell("unexpected", session, writer, number, repr(error))
        else:
            tell("landed", session, writer, number)


async def main(url: str, name: str, *session_ids: str) -> None:
    async with open_storage(url) as storage:
        manager = sessions_of(storage)
        over = asyncio.Event()
        asyncio.get_running_loop().add_reader(0, over.set)

        def numbers() -> Iterator[int]:
            return itertools.takewhile(lambda _: not over.is_set(), itertools.count(1))

        await asyncio.gather(*(write_and_tell(manager, session_ids, f"{name}-{n}", numbers()) for n in range(_WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

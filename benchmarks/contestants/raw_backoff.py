"""psycopg without the library, where a loser waits a while before it tries again."""

from __future__ import annotations

import asyncio
import random

from .raw_psycopg import RawPsycopg

_FIRST_PAUSE = 0.002
_DOUBLINGS = 6


class RawBackoff(RawPsycopg):
    """Optimistic, with a random pause that doubles with each lost round."""

    note = "As raw psycopg; a loser pauses for a random time of up to 2 ms, which doubles with each lost round."

    async def pause(self, lost: int) -> None:
        await asyncio.sleep(random.uniform(0, _FIRST_PAUSE * 2 ** min(lost, _DOUBLINGS)))  # noqa: S311

"""A coroutine that returns what it was given."""

from __future__ import annotations

import asyncio
from typing import Any


async def echo(value: Any, turns: int = 0) -> Any:
    for _ in range(turns):
        await asyncio.sleep(0)
    return value

"""Those who take part in `workloads/threads.py`: without asyncio, called from threads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..contestants import BASELINE
from .library import Library, LibraryAsyncpg, LibraryOnAsyncio
from .raw import RawPsycopg
from .threaded import Threaded

THREADED: Final[Mapping[str, type[Threaded]]] = {
    "sessionstore.sync": Library,
    "sessionstore.sync-asyncpg": LibraryAsyncpg,
    "sessionstore.sync-asyncio": LibraryOnAsyncio,
    BASELINE: RawPsycopg,
}
"""In the order of the tables. The last one is what ratios are to."""

"""A process that registers adapters for all connections of a driver, and then uses a storage.

python -m tests.storage.sql.connections.registering WHAT WHOSE URL
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.adapt import Dumper, Loader
from psycopg.types.json import set_json_dumps, set_json_loads
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore import ConfigurationError, SessionManager, SqlStorageProvider, migrate, open_storage
from sessionstore.testing.support.documents import increment, new_chat


class OtherDumper(Dumper):
    """Writes something else."""

    def dump(self, _: object) -> bytes:
        return b"other"


class OtherLoader(Loader):
    """Reads something else."""

    def load(self, _: object) -> str:
        return "other"


def _of_psycopg_dumpers() -> None:
    for kind in (str, int, bool, dict, list, datetime, timedelta, type(None)):
        psycopg.adapters.register_dumper(kind, OtherDumper)


def _of_psycopg_loaders() -> None:
    for name in ("bool", "int4", "int8", "interval", "json", "jsonb", "name", "timestamptz", "varchar"):
        psycopg.adapters.register_loader(name, OtherLoader)


def _of_psycopg_texts() -> None:
    psycopg.adapters.register_loader("text", OtherLoader)


def _of_psycopg_json() -> None:
    set_json_loads(lambda _: "other")
    set_json_dumps(lambda _: '"other"')


WHAT: Final[Mapping[str, Callable[[], None]]] = {
    "dumpers": _of_psycopg_dumpers,
    "loaders": _of_psycopg_loaders,
    "texts": _of_psycopg_texts,
    "json": _of_psycopg_json,
    "str": lambda: sqlite3.register_adapter(str, str.upper),
    "int": lambda: sqlite3.register_adapter(int, lambda number: number + 1),
    "datetime": lambda: sqlite3.register_adapter(datetime, lambda _: "other"),
}


async def use(storage: Any) -> None:
    """Makes calls of several kinds, whose results must not be those of the adapters."""
    chats = SessionManager(new_chat, storage)
    try:
        assert (await chats.create_session("s", owner_id="Ada")).created
        assert (await chats.update_session("s", increment, append=["first"])).applied
        assert (await chats.append_items("s", ["second"])).success
        assert [item.data for item in (await chats.pop_items("s")).items] == ["second"]
        read = await chats.get_session("s", last_items=5)
        assert read.unwrap()["n"] == 1
        assert [item.data for item in read.items] == ["first"]
        assert read.metadata is not None
        assert read.metadata.owner_id == "Ada"
        assert isinstance(read.metadata.created_at, datetime)
        assert [seen.session_id for seen in (await chats.list_sessions(owner_id="Ada")).sessions] == ["s"]
    finally:
        await storage.close()


def main(what: str, whose: str, url: str) -> str:
    """Returns what came of it."""
    WHAT[what]()
    try:
        if whose == "ours":
            asyncio.run(use(open_storage(url)))
            migrate.check(url)
        else:
            asyncio.run(use(SqlStorageProvider(create_async_engine(url))))
    except ConfigurationError as error:
        return f"refused: {error}"
    return "worked"


if __name__ == "__main__":
    sys.stdout.write(main(*sys.argv[1:]))

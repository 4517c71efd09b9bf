"""URLs that lead to the entrances of a server, and whether a URL works."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest
from sqlalchemy.engine import make_url

from sessionstore import ConfigurationError, migrate, open_storage
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import key, put
from tests.support.entrance import CERTIFICATES, Entrance

SCHEMES: Final = {"psycopg": "postgresql", "asyncpg": "postgresql+asyncpg"}


class Places:
    """Fills in URLs: "{scheme}://{user}@{tcp}/{db}?host={directory}", and so on."""

    def __init__(self, plain: Entrance, tls: Entrance, database: Database, driver: str) -> None:
        url = make_url(database.url)
        self.plain, self.tls = plain, tls
        self._words = {
            "scheme": SCHEMES[driver],
            "user": url.username or "postgres",
            "db": url.database,
            "directory": str(plain.directory),
            "quoted": str(plain.directory).replace("/", "%2F"),
            "tcp": f"127.0.0.1:{plain.port}",
            "port": plain.port,
            "closed": plain.closed_port,
            "silent": plain.silent_port,
            "tls_port": tls.port,
            "root": CERTIFICATES / "root.crt",
            "other": CERTIFICATES / "other.crt",
        }

    def url(self, form: str) -> str:
        return form.format(**self._words)


async def assert_works(url: str) -> None:
    async with open_storage(url) as storage:
        await put(storage, "s")
        assert await storage.exists(key("s"))
    assert await asyncio.to_thread(migrate.current, url) == REVISIONS[-1]


TCP = "{scheme}://{user}@{tcp}/{db}"


def refusal_of(call: object, url: str) -> str:
    assert callable(call)
    with pytest.raises(ConfigurationError) as raised:
        call(url)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    for hidden in ("s3c", "cret", "12/"):
        assert hidden not in f"{raised.value!s}{raised.value!r}"
    return str(raised.value)

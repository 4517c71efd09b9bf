"""The server refuses statements that write more rows than it likes, which are fewer or more each time."""

from __future__ import annotations

import random

import psycopg

from sessionstore.testing.postgres import Database
from tests.support.bystander import dsn

from .server import Cluster
from .tally import Row
from .ways import each_way, through
from .writers import Writers

_FAULT = "batch refused for its size (54000, 53400, 53200, 57014)"
_SESSIONS = 12
_CODES = ("54000", "53400", "53200", "57014")
_BODY = """
BEGIN
    IF (SELECT count(*) FROM changed) > (SELECT rows FROM liked) THEN
        RAISE EXCEPTION 'too much' USING ERRCODE = (SELECT code FROM liked);
    END IF;
    RETURN NULL;
END
"""
_LIMIT = (
    f"CREATE TABLE liked AS SELECT {_SESSIONS} AS rows, '{_CODES[0]}' AS code",
    f"CREATE FUNCTION limit_rows() RETURNS trigger LANGUAGE plpgsql AS $${_BODY}$$",
    """
    CREATE TRIGGER limit_rows AFTER UPDATE ON sessionstore.sessions REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION limit_rows()
    """,
)


async def refused_batches(cluster: Cluster, times: int) -> list[Row]:
    """So many times."""
    return [await each_way(cluster, times, _one_way)]


async def _one_way(database: Database, driver: str, times: int) -> Row:
    async with (
        through(database.url, driver) as storage,
        await psycopg.AsyncConnection.connect(dsn(database.url), autocommit=True) as bystander,
    ):
        for statement in _LIMIT:
            await bystander.execute(statement.encode())
        async with Writers(storage, sessions=_SESSIONS) as writers:
            for at in range(times):
                liked = [random.randint(1, _SESSIONS // 2), _CODES[at % len(_CODES)]]  # noqa: S311
                await bystander.execute("UPDATE liked SET rows = %s, code = %s", liked)
                await writers.go_on()
        return (await writers.row(database.url, _FAULT, times)).none_refused()

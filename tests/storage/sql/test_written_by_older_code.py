"""States that a program of the first revision writes, which does not know the columns of shape versions."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from sessionstore import SessionManager, StorageProvider, open_storage
from sessionstore.testing.postgres import dsn
from sessionstore.testing.support.documents import draft, key, new_chat

# As the statement of that revision, as far as it changes the row.
_UPDATE = """
    UPDATE {schema}sessions SET state = '{{"old":true}}', version = version + 1, writes = 'old-code0001' || writes
    WHERE session_id = 's'
"""
# The creation over an expired row, which starts at a version of its own.
_REPLACE = """
    UPDATE {schema}sessions SET state = '{{"old":true}}', version = 17, writes = '', keys = '' WHERE session_id = 's'
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def provider_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(url: str, statement: str) -> None:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(str(make_url(url).database))) as file, file:
            file.execute(statement.format(schema=""))
        return
    with psycopg.connect(dsn(url)) as connection:
        connection.execute(statement.format(schema="sessionstore.").encode())


def newer(storage: StorageProvider) -> SessionManager[Any]:
    return SessionManager(new_chat, storage, "chat", state_version=2, upgrades={1: lambda state: {"was": state}})


@pytest.mark.parametrize("statement", [_UPDATE, _REPLACE])
async def test_a_state_of_older_code_is_of_version_1_whatever_the_row_said(storage_url: str, statement: str) -> None:
    async with open_storage(storage_url) as storage:
        await storage.create(draft(state='{"new":true}', state_version=2))
        assert (await newer(storage).get_session("s")).unwrap() == {"new": True}
        run(storage_url, statement)
        assert (await newer(storage).get_session("s")).unwrap() == {"was": {"old": True}}
        (listed,) = (await newer(storage).list_sessions(states=True)).sessions
        assert listed.state == {"was": {"old": True}}
        fork = await newer(storage).fork_session("s", "t")
        assert fork.unwrap() == {"was": {"old": True}}
        updated = await newer(storage).update_session("s", lambda state: {**state, "n": 1})
        assert updated.unwrap() == {"was": {"old": True}, "n": 1}
        document = await storage.get(key())
        assert document is not None
        assert document.state_version == 2


async def test_a_state_that_is_changed_by_hand_keeps_its_shape_if_its_version_goes_along(storage_url: str) -> None:
    async with open_storage(storage_url) as storage:
        await storage.create(draft(state='{"new":true}', state_version=2))
        run(
            storage_url,
            "UPDATE {schema}sessions SET state = '{{\"hand\":true}}', version = version + 1, "
            "state_version_at = version + 1 WHERE session_id = 's'",
        )
        assert (await newer(storage).get_session("s")).unwrap() == {"hand": True}

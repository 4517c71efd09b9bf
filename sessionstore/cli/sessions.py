"""`sessionstore list`, `show`, `delete` and `stats`. None of these commands is an access."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from ..errors import shown_id
from ..ids import check_session_id
from ..storage import Document, Key, Place, StorageProvider, Summary
from .console import fail, print_facts, print_json, print_pretty, print_table, say
from .options import AnyNamespace, AsJson, DatabaseUrl, Namespace, Owner, Prefix, Schema, SessionIdArgument, opened
from .summaries import COLUMNS, as_facts, as_members, as_row, iso, moment

_DEFAULT_NAMESPACE = "sessions"
_PAGE = 500


def list_sessions(
    namespace: AnyNamespace = None,
    prefix: Prefix = None,
    owner: Owner = None,
    limit: Annotated[int, typer.Option(metavar="N", min=0, help="How many sessions at most; 0: all.")] = 50,
    as_json: AsJson = False,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
) -> None:
    """Lists live sessions.

    They are sorted by namespace and id, and shown without their states.
    """
    storage = opened(database_url, schema)
    sessions, more = asyncio.run(_listed(storage, namespace, prefix or "", owner, limit))
    if as_json:
        print_json([as_members(session) for session in sessions])
    elif sessions:
        print_table(COLUMNS, [as_row(session) for session in sessions])
    else:
        say("no live sessions")
    if more:
        say(f"there are more than {limit} sessions; --limit 0 shows all")


async def _listed(
    storage: StorageProvider, namespace: str | None, prefix: str, owner: str | None, limit: int
) -> tuple[Sequence[Summary], bool]:
    sessions: list[Summary] = []
    after: Key | Place | None = None
    async with storage:
        while True:
            wanted = min(limit - len(sessions), _PAGE) if limit else _PAGE
            page = await storage.list(namespace, prefix=prefix, owner_id=owner, limit=wanted, after=after)
            sessions += page.sessions
            after = page.next
            if after is None or len(sessions) == limit:
                return sessions, after is not None


def show(
    session_id: SessionIdArgument,
    namespace: Namespace = _DEFAULT_NAMESPACE,
    as_json: AsJson = False,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
) -> None:
    """Shows a session with its state.

    This is no access: the expiry of the session stays.
    """
    key = Key(namespace, check_session_id(session_id))
    document = asyncio.run(_shown(opened(database_url, schema), key))
    if document is None:
        _fail_for_absence(key)
    state = json.loads(document.state)
    if as_json:
        print_json(as_members(document.summary) | {"state": state})
    else:
        print_facts(as_facts(document.summary))
        typer.echo()
        print_pretty(state)


async def _shown(storage: StorageProvider, key: Key) -> Document | None:
    async with storage:
        return await storage.get(key, touch=False)


def delete(
    session_id: SessionIdArgument,
    namespace: Namespace = _DEFAULT_NAMESPACE,
    as_json: AsJson = False,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
) -> None:
    """Deletes a session, without asking."""
    key = Key(namespace, check_session_id(session_id))
    if not asyncio.run(_deleted(opened(database_url, schema), key)):
        _fail_for_absence(key)
    if as_json:
        print_json({"namespace": namespace, "session_id": session_id, "deleted": True})
    else:
        say(f"deleted session {shown_id(session_id)}")


async def _deleted(storage: StorageProvider, key: Key) -> bool:
    async with storage:
        return await storage.delete(key)


def stats(
    namespace: AnyNamespace = None,
    as_json: AsJson = False,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
) -> None:
    """Counts sessions.

    For each namespace: live sessions, and expired sessions that the reaper has not deleted yet.
    """
    counts = asyncio.run(_counted(opened(database_url, schema), namespace))
    if as_json:
        print_json([count | {"oldest_expiry": iso(count["oldest_expiry"])} for count in counts])
    elif counts:
        rows = [(*list(count.values())[:-1], moment(count["oldest_expiry"], none="-")) for count in counts]
        print_table(("namespace", "live", "expired", "oldest expiry"), rows)
    else:
        say("no sessions")


async def _counted(storage: StorageProvider, namespace: str | None) -> list[dict[str, Any]]:
    async with storage:
        return [count._asdict() for count in await storage.stats(namespace)]


def _fail_for_absence(key: Key) -> NoReturn:
    fail(
        f"there is no live session {shown_id(key.session_id)} in the namespace {shown_id(key.namespace)}; "
        "`sessionstore list` shows the live sessions"
    )

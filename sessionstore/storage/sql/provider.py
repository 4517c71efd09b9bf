"""The storage provider on PostgreSQL and SQLite: batches become statements, and rows come back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeAlias

import orjson
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from .. import (
    Apply,
    Clock,
    Creation,
    Document,
    Draft,
    Key,
    Page,
    Stats,
    StorageProvider,
    Summary,
    Write,
    check_limit,
)
from .engine import make_engine
from .gateway import Gateway
from .prepared import Prepared, Row
from .scope import Scope
from .statements import Pair
from .tables import micros

_CLEAR_BATCH: Final = 5000

# How a row is laid out: its summary, and where it reads a document also the state and what tells how the access went.
_SUMMARY_COLUMNS: Final = 11
_STATE, _NOW, _DUE, _CREATED = range(_SUMMARY_COLUMNS, _SUMMARY_COLUMNS + 4)

Fields: TypeAlias = dict[str, Any]


class SqlStorageProvider(StorageProvider):
    """Keeps sessions in a table that the migrations made.

    A call is one round trip, two where an expiry has to be moved; no transaction stays open between calls. The first
    call checks that the schema is the one that this version works with.

    Args:
        engine: The service's own engine, for PostgreSQL or SQLite; it is never disposed here. open_storage() makes
            one that is tuned for this.
        schema: Where the tables are in PostgreSQL; SQLite has no schemas. None: ``SESSIONSTORE_SCHEMA``, else
            "sessionstore".
        clock: Gives the aware UTC now; None: the database's clock rules.

    Raises:
        ConfigurationError: An engine for another database, or a schema name that cannot be one.
    """

    def __init__(
        self, engine: AsyncEngine, *, schema: str | None = None, clock: Clock | None = None, _owned: bool = False
    ) -> None:
        self._gateway = Gateway(engine, schema=schema, owned=_owned)
        self._statements = self._gateway.statements
        self._clock = clock

    @classmethod
    def from_url(
        cls, url: str, *, schema: str | None = None, clock: Clock | None = None, **engine_options: Any
    ) -> SqlStorageProvider:
        """Makes a provider with an engine of its own, which closing it disposes. See open_storage()."""
        return cls(make_engine(url, **engine_options), schema=schema, clock=clock, _owned=True)

    async def create_many(self, drafts: Sequence[Draft]) -> Sequence[Creation]:
        pending: dict[Key, Draft] = {}
        for draft in drafts:
            pending.setdefault(draft.key, draft)
        answers: dict[Key, Creation] = {}
        # One round does, unless another's session came or went in the middle of it.
        while pending:
            rows = await self._fetch(self._statements.create, map(_draft_fields, pending.values()), writing=True)
            answers |= {_key(row): Creation(_document(row), created=True) for row in rows if row[_CREATED]}
            found = [row for row in rows if not row[_CREATED]]
            if unanswered := pending.keys() - {_key(row) for row in rows}:
                found.extend(await self._read(unanswered))
            answers |= {key: Creation(it, created=False) for key, it in (await self._access(found)).items()}
            pending = {key: draft for key, draft in pending.items() if key not in answers}
        creations: list[Creation] = []
        for draft in drafts:
            creations.append(answers[draft.key])
            answers[draft.key] = Creation(answers[draft.key].document, created=False)
        return creations

    async def get_many(self, keys: Sequence[Key], *, touch: bool = True) -> Sequence[Document | None]:
        rows = await self._read(keys)
        found = await self._access(rows) if touch else {_key(row): _document(row) for row in rows}
        return [found.get(key) for key in keys]

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        rows = await self._fetch(self._statements.update, map(_write_fields, writes), writing=True)
        written = {summary.key: summary for summary in map(_summary, rows)}
        return [written.get(write.key) for write in writes]

    async def update_locked(self, key: Key, apply: Apply) -> Document | None:
        now = self._now()

        def operation(connection: Connection) -> Document | Exception | None:
            with self._gateway.transaction(connection):
                rows = self._statements.get_locked.fetch(connection, _key_fields(key) | now)
                if not rows:
                    return None
                document = _document(rows[0])
                try:
                    state = apply(document)
                except Exception as error:  # noqa: BLE001
                    # The caller's own error, handed out as a value so that nobody takes it for one of the database.
                    return error
                fields = _write_fields(Write(key, state, document.summary.version))
                rows = self._statements.update.one.fetch(connection, fields | now)
                return Document(state, _summary(rows[0])) if rows else None

        outcome = await self._gateway.run(operation, writing=True)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def delete_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        rows = await self._fetch(self._statements.delete, _unique(keys), writing=True)
        live = {_key(row): bool(row[2]) for row in rows}
        return [live.pop(key, False) for key in keys]

    async def set_many(self, drafts: Sequence[Draft]) -> Sequence[Summary]:
        last = {draft.key: draft for draft in drafts}
        rows = await self._fetch(self._statements.set, map(_draft_fields, last.values()), writing=True)
        summaries = {summary.key: summary for summary in map(_summary, rows)}
        return [summaries[draft.key] for draft in drafts]

    async def exists_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        found = set(map(_key, await self._fetch(self._statements.exists, _unique(keys), writing=False)))
        return [key in found for key in keys]

    async def touch_many(self, keys: Sequence[Key]) -> Sequence[bool]:
        moved = set(map(_key, await self._fetch(self._statements.touch, _unique(keys), writing=True)))
        # The others need no move or are gone.
        others = [key for key in keys if key not in moved]
        live = dict(zip(others, await self.exists_many(others), strict=True))
        return [key in moved or live[key] for key in keys]

    async def list(
        self,
        namespace: str | None = None,
        *,
        prefix: str = "",
        owner_id: str | None = None,
        limit: int = 100,
        after: Key | None = None,
    ) -> Page:
        check_limit(limit)
        scope = Scope(namespace, prefix, owner_id, after)
        page = self._statements.list(scope.conditions(self._gateway.table))
        # One more than asked for tells whether there is a next page.
        rows = await self._rows(page, scope.params() | {"limit": limit + 1}, writing=False)
        sessions = [_summary(row) for row in rows[:limit]]
        return Page(sessions, sessions[-1].key if len(rows) > limit else None)

    async def clear(self, namespace: str | None = None, *, prefix: str = "") -> int:
        scope = Scope(namespace, prefix)
        batch = self._statements.clear(scope.conditions(self._gateway.table))
        params = scope.params() | {"limit": _CLEAR_BATCH}
        total = 0
        while True:
            counts = await self._rows(batch, params, writing=True)
            total += sum(int(live) for _, live in counts)
            if not sum(deleted for deleted, _ in counts):
                return total

    async def purge_expired(self, *, limit: int = 5000, grace: timedelta = timedelta(0)) -> int:
        check_limit(limit)
        params = {"limit": limit, "grace": micros(grace)}
        counts = await self._rows(self._statements.purge, params, writing=True)
        return sum(int(row[0]) for row in counts)

    async def count_expired(self, *, grace: timedelta = timedelta(0)) -> int:
        ((count,),) = await self._rows(self._statements.count_expired, {"grace": micros(grace)}, writing=False)
        return int(count)

    async def stats(self, namespace: str | None = None) -> Sequence[Stats]:
        scope = Scope(namespace)
        counts = self._statements.stats(scope.conditions(self._gateway.table))
        return [Stats(*row) for row in await self._rows(counts, scope.params(), writing=False)]

    async def close(self) -> None:
        await self._gateway.close()

    def _now(self) -> Fields:
        return {"now": None if self._clock is None else self._clock()}

    async def _rows(self, statement: Prepared, params: Fields, *, writing: bool) -> Sequence[Row]:
        bound = params | self._now()
        return await self._gateway.run(lambda connection: statement.fetch(connection, bound), writing=writing)

    async def _fetch(self, pair: Pair, fields: Iterable[Fields], *, writing: bool) -> Sequence[Row]:
        """Runs a statement on a batch: the one for a single row, or the one for many."""
        batch = list(fields)
        if not batch:
            return ()
        if len(batch) == 1:
            return await self._rows(pair.one, batch[0], writing=writing)
        packed = orjson.dumps([_packed(row) for row in batch]).decode()
        return await self._rows(pair.many, {"batch": packed}, writing=writing)

    async def _read(self, keys: Iterable[Key]) -> Sequence[Row]:
        return await self._fetch(self._statements.get, _unique(keys), writing=False)

    async def _access(self, rows: Sequence[Row]) -> dict[Key, Document]:
        """The documents of rows just read, as an access leaves them: moves the expiry of those that are due."""
        accessed: dict[Key, Document] = {}
        while rows:
            read = {_key(row): _accessed(row) for row in rows}
            due = [_key(row) for row in rows if row[_DUE]]
            moved = await self._fetch(self._statements.touch, map(_key_fields, due), writing=True)
            for namespace, session_id, last_accessed_at, expires_at in moved:
                key = Key(namespace, session_id)
                state, summary = read[key]
                summary = summary._replace(last_accessed_at=last_accessed_at, expires_at=expires_at)
                read[key] = Document(state, summary)
                due.remove(key)
            # Whoever is due still was moved by somebody else, or is gone: only another look can tell.
            accessed |= {key: document for key, document in read.items() if key not in due}
            rows = await self._read(due)
        return accessed


def _key_fields(key: Key) -> Fields:
    return {"namespace": key[0], "session_id": key[1]}


def _unique(keys: Iterable[Key]) -> Iterable[Fields]:
    return map(_key_fields, dict.fromkeys(keys))


def _write_fields(write: Write) -> Fields:
    return _key_fields(write.key) | {"state": write.state, "version": write.version}


def _draft_fields(draft: Draft) -> Fields:
    return _key_fields(draft.key) | {
        "state": draft.state,
        "version": draft.version,
        "ttl": micros(draft.ttl),
        "max_lifetime": micros(draft.max_lifetime),
        "origin": draft.origin,
        "owner_id": draft.owner_id,
    }


def _packed(fields: Fields) -> Fields:
    """The fields of one row of a batch, with documents put in as the JSON that they are already."""
    for name in ("state", "origin"):
        if fields.get(name) is not None:
            fields[name] = orjson.Fragment(fields[name])
    return fields


def _key(row: Row) -> Key:
    """The key of a row that reads a document, or that begins with one."""
    return Key(row[0], row[1])


def _summary(row: Row) -> Summary:
    return Summary(Key(row[0], row[1]), *row[2:_SUMMARY_COLUMNS])


def _document(row: Row) -> Document:
    return Document(row[_STATE], _summary(row))


def _accessed(row: Row) -> Document:
    return Document(row[_STATE], _summary(row)._replace(last_accessed_at=row[_NOW]))

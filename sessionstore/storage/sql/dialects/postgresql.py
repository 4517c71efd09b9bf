"""PostgreSQL's own SQL. `sqlite.py` has the same names in the same order."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    Dialect,
    FromClause,
    Select,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    column,
    extract,
    func,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.sql.dml import Delete

from ...lifetime import FIRST_TIME, LAST_TIME, LONGEST
from ..drivers.driver import Asyncpg, Driver, Psycopg
from ..drivers.prepared import Statement
from ..faults import READ_ONLY, Fault, code_of, driver_error, fault_without_code, source_of
from ..privileges import LACKING, MISSING_GRANT
from .dialect import Fields, batch_parameter, between

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_LOST: Final = {"57P01", "57P02", "57P05", "08003", "08006", "08007", "08P01"}
_REFUSED: Final = {"57P03", "57014", "55P03", "28000", "28P01", "3D000"}
# A prepared statement that does not exist or exists already; an internal error, as after a concurrent DROP
_STALE: Final = {"26000", "42P05", "XX000"}
# The function that raises "cached plan must not change result type", under the code feature_not_supported
_REVALIDATING: Final = "RevalidateCachedQuery"
_ROLLED_BACK: Final = {"40001", "40P01"}
_ENDED: Final = {"25P03", "25P04"}
_REFUSED_CLASSES: Final = ("08", "53")
# A missing table, schema or column; and feature_not_supported, because our statements need tables without rules
_SCHEMA: Final = {"42P01", "3F000", "42703", "0A000"}

# A policy hides no row if its expressions are the constant true. Each command needs one permissive policy of that kind,
# and every restrictive policy has to be of that kind.
_RELATIONS: Final = """
WITH policy AS (
    SELECT polrelid, CAST(polcmd AS text) AS command, polpermissive AS permissive,
        coalesce(pg_get_expr(polqual, polrelid), 'true') = 'true'
            AND coalesce(pg_get_expr(polwithcheck, polrelid), 'true') = 'true' AS passes
    FROM pg_catalog.pg_policy
    WHERE EXISTS (
        SELECT FROM unnest(polroles) AS role
        WHERE CASE WHEN role = 0 THEN true ELSE pg_has_role(current_user, role, 'USAGE') END
    )
)
SELECT CAST(c.relname AS text) AS name,
    CASE WHEN c.relkind NOT IN ('r', 'p') OR NOT row_security_active(c.oid) THEN false ELSE
        EXISTS (SELECT FROM policy WHERE polrelid = c.oid AND NOT permissive AND NOT passes)
        OR EXISTS (
            SELECT FROM unnest(ARRAY['r', 'a', 'w', 'd']) AS needed
            WHERE NOT EXISTS (
                SELECT FROM policy WHERE polrelid = c.oid AND permissive AND passes AND command IN ('*', needed)
            )
        )
    END AS hides,
    c.relkind IN ('r', 'p') AND EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_class = c.oid) AS ruled,
    (
        -- With quote_all_identifiers, the server writes "text" in quotes.
        SELECT string_agg(CAST(attname AS text) || ' ' || replace(format_type(atttypid, NULL), '"', ''), ',')
        FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
    ) AS columns
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema
"""

# Sent together with BEGIN, which saves a round trip. If the role has a lower lock_timeout, or any
# idle_in_transaction_session_timeout, these stay. Without the latter, the server would keep rows locked for hours after
# the client is gone.
_TIMEOUTS: Final = (
    "SELECT set_config('lock_timeout', '1s', true) "
    "WHERE current_setting('lock_timeout')::interval NOT BETWEEN interval '1 ms' AND interval '1 s'; "
    "SELECT set_config('idle_in_transaction_session_timeout', '{idle}', true) "
    "WHERE current_setting('idle_in_transaction_session_timeout')::interval = interval '0'"
)
IDLE_IN_TRANSACTION: Final = "10s"

_END_MARKED: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_locks "
    "WHERE locktype = 'advisory' AND classid = {high} AND objid = {low} AND objsubid = 1 "
    "AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
)

# A lower timeout of the role stays. The setting ends with the transaction, which is this one statement.
_SHORT_LOCK_TIMEOUT: Final[ColumnElement[Any]] = literal_column(
    "set_config('lock_timeout', CASE WHEN current_setting('lock_timeout')::interval BETWEEN interval '1 ms' AND "
    "interval '100 ms' THEN current_setting('lock_timeout') ELSE '100ms' END, true)",
    Text(),
)

_ASYNCHRONOUS_COMMIT: Final[ColumnElement[Any]] = literal_column("set_config('synchronous_commit', 'off', true)").label(
    "synchronous_commit"
)


class PostgreSQL:
    """PostgreSQL through psycopg or asyncpg."""

    name = "postgresql"
    one_writer = False
    interruptible = True
    begin = f"BEGIN; {_TIMEOUTS.format(idle=IDLE_IN_TRANSACTION)}"

    def __init__(self, dialect: Dialect) -> None:
        self.driver: Driver = Asyncpg(dialect) if dialect.driver == "asyncpg" else Psycopg(dialect)

    def begin_marked(self, mark: int) -> str:
        # An advisory lock marks the transaction: other connections see the lock and its holder, and the lock ends with
        # the transaction. The process id that the server tells a client would not do: a pooler tells other ids.
        return f"{self.begin}; SELECT pg_try_advisory_xact_lock({mark})"

    def end_marked(self, mark: int) -> str:
        high, low = divmod(mark, 1 << 32)
        return _END_MARKED.format(high=high, low=low)

    def relations(self, schema: str | None) -> Statement:
        found = text(_RELATIONS).bindparams(bindparam("schema", schema, type_=Text()))
        flags = (column("hides", Boolean()), column("ruled", Boolean()))
        return found.columns(column("name", Text()), *flags, column("columns", Text()))

    def lacking(self, schema: str | None) -> Statement | None:
        bound = (bindparam("schema", schema, type_=Text()), bindparam("use", type_=Text()))
        found = text(LACKING).bindparams(*bound)
        return found.columns(column("role", Text()), column("place", BigInteger()))

    def now(self, given: BindParameter[Any]) -> ColumnElement[Any]:
        # Not now(), the start of the transaction, nor statement_timestamp(): both may be from before a lock wait.
        return func.coalesce(given, func.clock_timestamp())

    def now_once(self, now: ColumnElement[Any]) -> ColumnElement[Any]:
        return select(now).scalar_subquery()

    def started(self, given: BindParameter[Any]) -> ColumnElement[Any]:
        return func.coalesce(given, func.statement_timestamp())

    def interval(self, microseconds: ColumnElement[Any]) -> ColumnElement[Any]:
        return microseconds * literal_column("interval '1 microsecond'")

    def span(self, since: ColumnElement[Any], until: ColumnElement[Any]) -> ColumnElement[Any]:
        # Not `until - since`, which counts in days. A day has 23 or 25 hours when the clocks change.
        seconds = extract("epoch", until) - extract("epoch", since)
        return seconds * literal_column("1000000") * literal_column("interval '1 microsecond'")

    def bounded(self, ttl: ColumnElement[Any]) -> ColumnElement[Any]:
        first, last = (f"interval '{sign}{LONGEST.days} days'" for sign in ("-", ""))
        return between(ttl, literal_column(first, ttl.type), literal_column(last, ttl.type))

    def readable(self, instant: ColumnElement[Any]) -> ColumnElement[Any]:
        first, last = (f"timestamptz '{end.isoformat()}'" for end in (FIRST_TIME, LAST_TIME))
        return between(instant, literal_column(first, instant.type), literal_column(last, instant.type))

    def json(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        return cast(text, JSONB)

    def text(self, document: ColumnElement[Any]) -> ColumnElement[Any]:
        return cast(document, Text)

    def verbatim(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        return cast(text, JSON)

    def batch(self, fields: Fields, now: ColumnElement[Any]) -> FromClause:
        columns = [column(name, type_) for name, type_ in fields.items()]
        values = func.jsonb_to_recordset(cast(batch_parameter(), JSONB)).table_valued(*columns)
        rows = values.render_derived("given", with_types=True)
        return select(rows, now.label("now")).subquery("batch")

    def locked(
        self,
        batch: FromClause,
        table: Table,
        *conditions: ColumnElement[bool],
        deleting: bool = False,
        name: str = "locked",
    ) -> FromClause:
        rows = select(batch).join(table, self.among(table, batch)).where(*conditions)
        # FOR UPDATE only for a deletion, because it blocks inserts of rows that refer to this row by a foreign key.
        return (
            rows.order_by(table.c.namespace, table.c.session_id)
            .with_for_update(of=table, key_share=not deleting, skip_locked=True)
            .cte(name)
        )

    def lockable(self, rows: FromClause, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        locked = select(true()).select_from(rows).where(*conditions)
        # A scalar subquery is evaluated once, before the statement looks for the row to write.
        return locked.with_for_update(key_share=True, skip_locked=True).scalar_subquery()

    def short_lock_timeout(self) -> ColumnElement[bool]:
        return select(_SHORT_LOCK_TIMEOUT).scalar_subquery().is_not(None)

    def among(self, table: Table, batch: FromClause) -> ColumnElement[bool]:
        return and_(table.c.namespace == batch.c.namespace, table.c.session_id == batch.c.session_id)

    def micros_of(self, instant: ColumnElement[Any]) -> ColumnElement[Any]:
        return cast(extract("epoch", self.readable(instant)) * literal_column("1000000"), BigInteger)

    def joined(
        self,
        position: ColumnElement[Any],
        micros: ColumnElement[Any],
        version: ColumnElement[Any],
        text: ColumnElement[Any],
    ) -> Any:
        entry = func.concat(position, literal_column("':'"), micros, version, literal_column("':'"), text)
        return func.string_agg(entry, literal_column("chr(30)"), type_=Text())

    def at_most(self, limit: BindParameter[int]) -> Any:
        # The planner does not know the value of a subquery. It then expects a tenth of the rows, and reads the index in
        # order. With a known limit and old statistics, it could read and sort all items of a long session.
        return select(limit).scalar_subquery()

    def one_of_ids(self, item_id: ColumnElement[Any], ids: BindParameter[str]) -> ColumnElement[bool]:
        each = select(func.jsonb_array_elements_text(cast(ids, JSONB))).scalar_subquery()
        return item_id == any_(func.array(each))

    def row_id(self, table: Table) -> ColumnElement[Any]:
        return literal_column("ctid")

    def one_of(self, row_id: ColumnElement[Any], rows: Select[Any]) -> ColumnElement[bool]:
        # An array: with IN, the planner may join the whole table instead of fetching the rows by address.
        return row_id == any_(func.array(rows.scalar_subquery()))

    def purged(self, deleted: Delete, table: Table, found: ColumnElement[bool]) -> Statement:
        gone = deleted.returning(self.readable(table.c.expires_at).label("expires_at")).cte("gone")
        ends = select(
            func.count().label("deleted"), func.max(gone.c.expires_at, type_=table.c.expires_at.type).label("last")
        )
        batch = ends.select_from(gone).cte("batch")
        # A statement sees the table as of its start, so this count includes the rows that the statement deletes.
        before = (
            select(func.count())
            .select_from(table)
            .where(found, table.c.expires_at < select(batch.c.last).scalar_subquery())
        )
        same = select(func.count()).select_from(gone).where(gone.c.expires_at < select(batch.c.last).scalar_subquery())
        left = (before.scalar_subquery() - same.scalar_subquery()).label("left")
        # The setting ends with the transaction, which is this one statement. The connection's next commit is
        # synchronous again.
        return select(batch.c.deleted, batch.c.last, left, _ASYNCHRONOUS_COMMIT)

    def fault(self, error: BaseException, *, connected: bool, alive: bool) -> Fault | None:
        original = driver_error(error)
        code = code_of(original)
        if code is None:
            driver = self.driver
            return fault_without_code(
                original, connected=connected, alive=alive, errors=driver.errors, unsent=driver.unsent
            )
        if code == MISSING_GRANT:
            return Fault.DENIED
        if code in _LOST:
            return Fault.LOST
        if code == READ_ONLY:
            return Fault.READ_ONLY
        if code in _STALE or (code == "0A000" and source_of(original) == _REVALIDATING):
            return Fault.STALE
        if code in _SCHEMA:
            return Fault.SCHEMA
        if code in _ROLLED_BACK:
            return Fault.ROLLED_BACK
        if code in _ENDED:
            return Fault.ENDED
        return Fault.REFUSED if code in _REFUSED or code.startswith(_REFUSED_CLASSES) else None

"""SQLite's own SQL. `postgresql.py` has the same names in the same order."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Dialect,
    FromClause,
    Integer,
    Select,
    Table,
    Text,
    cast,
    column,
    false,
    func,
    literal_column,
    select,
    table,
    true,
    tuple_,
)
from sqlalchemy.sql.dml import Delete
from sqlalchemy.types import TypeEngine

from ...lifetime import LONGEST
from ..drivers.driver import Aiosqlite, Driver
from ..drivers.prepared import Statement
from ..faults import Fault, code_of, driver_error, fault_without_code
from ..tables import is_document, micros
from .dialect import Fields, batch_parameter, between

# https://www.sqlite.org/rescode.html. The names of extended codes begin with those of their primary code.
_REFUSED: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_NOMEM")
# Includes a missing table, among many other errors.
_ANY: Final = "SQLITE_ERROR"
_DENIED: Final = ("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")

# SQLite's clock counts milliseconds, and gives one time per statement.
_NOW: Final = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000"


class SQLite:
    """A SQLite file through aiosqlite."""

    name = "sqlite"
    one_writer = True
    interruptible = False
    begin = "BEGIN IMMEDIATE"

    def __init__(self, dialect: Dialect) -> None:
        self.driver: Driver = Aiosqlite(dialect)

    def begin_marked(self, mark: int) -> str:
        return self.begin

    def end_marked(self, mark: int) -> str | None:
        return None

    def relations(self, schema: str | None) -> Statement:
        typed = "(SELECT group_concat(name || ' ' || type, ',') FROM pragma_table_info(sqlite_master.name))"
        columns = literal_column(typed, Text())
        return select(column("name", Text()), false(), false(), columns).select_from(table("sqlite_master"))

    def lacking(self, schema: str | None) -> Statement | None:
        return None

    def now(self, given: BindParameter[Any]) -> ColumnElement[Any]:
        return func.coalesce(given, literal_column(_NOW), type_=given.type)

    def now_once(self, now: ColumnElement[Any]) -> ColumnElement[Any]:
        return now  # the clock gives one time per statement, read after the statement has locked the file

    def started(self, given: BindParameter[Any]) -> ColumnElement[Any]:
        return self.now(given)

    def interval(self, microseconds: ColumnElement[Any]) -> ColumnElement[Any]:
        return microseconds

    def span(self, since: ColumnElement[Any], until: ColumnElement[Any]) -> ColumnElement[Any]:
        return cast(until, Integer) - cast(since, Integer)

    def bounded(self, ttl: ColumnElement[Any]) -> ColumnElement[Any]:
        most = micros(LONGEST)
        return between(ttl, literal_column(f"-{most}", ttl.type), literal_column(str(most), ttl.type))

    def readable(self, instant: ColumnElement[Any]) -> ColumnElement[Any]:
        return instant  # an integer; `tables.py` limits it to what Python's datetime can represent

    def json(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        return text

    def text(self, document: ColumnElement[Any]) -> ColumnElement[Any]:
        return document

    def verbatim(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        return text

    def batch(self, fields: Fields, now: ColumnElement[Any]) -> FromClause:
        each = func.json_each(batch_parameter()).table_valued("value", name="each")
        members = (_member(each.c.value, name, type_) for name, type_ in fields.items())
        return select(*members, now.label("now")).subquery("batch")

    def locked(
        self,
        batch: FromClause,
        table: Table,
        *conditions: ColumnElement[bool],
        deleting: bool = False,
        name: str = "locked",
    ) -> FromClause:
        return batch  # a writer has locked the whole file

    def lockable(self, rows: FromClause, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        return true()

    def short_lock_timeout(self) -> ColumnElement[bool]:
        return true()  # a writer has locked the whole file

    def among(self, table: Table, batch: FromClause) -> ColumnElement[bool]:
        return tuple_(table.c.namespace, table.c.session_id).in_(select(batch.c.namespace, batch.c.session_id))

    def micros_of(self, instant: ColumnElement[Any]) -> ColumnElement[Any]:
        return instant

    def joined(
        self,
        position: ColumnElement[Any],
        micros: ColumnElement[Any],
        version: ColumnElement[Any],
        text: ColumnElement[Any],
    ) -> Any:
        colon: Any = literal_column("':'", Text())
        entry = cast(position, Text).concat(colon).concat(cast(micros, Text)).concat(version).concat(colon).concat(text)
        return func.group_concat(entry, literal_column("char(30)"), type_=Text())

    def at_most(self, limit: BindParameter[int]) -> Any:
        return limit

    def one_of_ids(self, item_id: ColumnElement[Any], ids: BindParameter[str]) -> ColumnElement[bool]:
        each = func.json_each(ids).table_valued("value", name="ids")
        return item_id.in_(select(each.c.value))

    def row_id(self, table: Table) -> ColumnElement[Any]:
        return literal_column("rowid")

    def one_of(self, row_id: ColumnElement[Any], rows: Select[Any]) -> ColumnElement[bool]:
        return row_id.in_(rows)

    def purged(self, deleted: Delete, table: Table, found: ColumnElement[bool]) -> Statement:
        # A writer has locked the whole file, so no row is left because another transaction holds it.
        return deleted.returning(
            literal_column("1").label("deleted"), table.c.expires_at, literal_column("0").label("left")
        )

    def fault(self, error: BaseException, *, connected: bool, alive: bool) -> Fault | None:
        original = driver_error(error)
        code = code_of(original)
        if code is None:
            driver = self.driver
            return fault_without_code(
                original, connected=connected, alive=alive, errors=driver.errors, unsent=driver.unsent
            )
        if code.startswith(_REFUSED):
            return Fault.REFUSED
        if code == _ANY:
            return Fault.SCHEMA
        return Fault.DENIED if code.startswith(_DENIED) else None


def _member(value: ColumnElement[Any], name: str, type_: TypeEngine[Any]) -> ColumnElement[Any]:
    path = f"$.{name}"
    if is_document(type_):
        # "->" returns JSON text, while "->>" would unquote a string. JSON's null means that there is no document.
        return func.nullif(value.op("->")(path), "null", type_=Text()).label(name)
    return value.op("->>", return_type=type_)(path).label(name)

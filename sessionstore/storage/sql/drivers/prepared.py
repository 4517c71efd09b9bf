"""A prepared statement: a SQLAlchemy Core statement, compiled once and run by the driver itself.

SQLAlchemy's own work per execution costs a third of a round trip: reading and writing back one session took 1.4 times
as long through exec_driver_sql(). Values are still converted by SQLAlchemy's types: their bind and result processors
are looked up once and applied here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Dialect
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import SelectBase
from sqlalchemy.types import TypeEngine

from .driver import Driver, Row

Statement: TypeAlias = SelectBase | UpdateBase

_Processor: TypeAlias = Callable[[Any], Any]


class Compiled(NamedTuple):
    """A compiled statement.

    Attributes:
        sql: The text of the statement.
        order: The names of the parameters in the order of their numbers; None: parameters go by name.
        constants: The parameters that SQLAlchemy made of literals, such as the 1 of "version + 1".
        binders: The functions that convert parameters, by name.
        loaders: The functions that convert columns, by index.
    """

    sql: str
    order: Sequence[str] | None
    constants: Mapping[str, Any]
    binders: Sequence[tuple[str, _Processor]]
    loaders: Sequence[tuple[int, _Processor]]


class Prepared:
    """A statement that is ready to run.

    Args:
        build: Makes the statement. Its bind parameters are all named; values are given at each run.
        driver: Runs the statement.
        range_checked: The range-checked variant. It runs when a row holds a time or a duration that the driver cannot
            represent, or a time that a TTL cannot be added to. The fast path does not pay for these checks. None: this
            statement is the range-checked variant.

    Attributes:
        previous: The form of the statement for the previous revision; None: the statement needs the newest revision.
    """

    def __init__(
        self,
        build: Callable[[], Statement],
        driver: Driver,
        range_checked: Prepared | None = None,
    ) -> None:
        self._build = build
        self._driver = driver
        self._range_checked = range_checked
        self.previous: Prepared | None = None
        self._compiled: Compiled | None = None

    def link(self, previous: Prepared) -> None:
        """Sets the form of this statement for the tables of the previous revision."""
        self.previous = previous
        if self._range_checked is not None:
            self._range_checked.previous = previous.range_checked

    @property
    def compiled(self) -> Compiled:
        """The statement, built and compiled at its first use. Most processes use few of the statements."""
        # No lock, and so no cached_property, which has one in Python 3.11: if the process forks while a thread holds
        # the lock, the child waits for it forever. Two threads that compile the same statement do no harm.
        if self._compiled is None:
            self._compiled = _compiled(self._build(), self._driver.dialect)
        return self._compiled

    @property
    def range_checked(self) -> Prepared:
        """The range-checked variant of this statement, which may be the statement itself."""
        return self if self._range_checked is None else self._range_checked

    async def fetch(self, connection: Any, params: Mapping[str, Any]) -> Sequence[Row]:
        """Runs the statement on a driver's connection, in one round trip, and returns its rows."""
        try:
            return await self._fetch(connection, params)
        except Exception as error:
            if self._range_checked is None or not self._driver.out_of_range(error):
                raise
        # The failed statement wrote nothing: the server refused it, or it was a read.
        return await self.range_checked.fetch(connection, params)

    async def _fetch(self, connection: Any, params: Mapping[str, Any]) -> Sequence[Row]:
        sql, order, constants, binders, loaders = self.compiled
        bound = {**constants, **params}
        for name, process in binders:
            bound[name] = process(bound[name])
        rows = await self._driver.fetch(
            connection, sql, bound if order is None else tuple(bound[name] for name in order)
        )
        return [_loaded(row, loaders) for row in rows] if loaders else rows


def _compiled(statement: Statement, dialect: Dialect) -> Compiled:
    compiled = statement.compile(dialect=dialect)
    binders = (
        (name, process)
        for name, bind in compiled.binds.items()
        if (process := _bind_processor(bind.type, dialect)) is not None
    )
    loaders = (
        (index, process)
        for index, column in enumerate(statement.exported_columns)
        if (process := _result_processor(column.type, dialect)) is not None
    )
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return Compiled(str(compiled), compiled.positiontup, constants, list(binders), list(loaders))


def _loaded(row: Row, loaders: Iterable[tuple[int, _Processor]]) -> Row:
    loaded = list(row)
    for index, process in loaders:
        loaded[index] = process(loaded[index])
    return loaded


def _bind_processor(type_: TypeEngine[Any], dialect: Dialect) -> _Processor | None:
    return type_.dialect_impl(dialect).bind_processor(dialect)


def _result_processor(type_: TypeEngine[Any], dialect: Dialect) -> _Processor | None:
    return type_.dialect_impl(dialect).result_processor(dialect, None)

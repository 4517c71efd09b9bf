"""A Core statement, compiled once and run by the driver itself.

What SQLAlchemy does anew for each execution costs a third of a round trip: reading and writing back one session took
1.4 times as long through exec_driver_sql(). Types still do their work: bind and result processors are looked up once
and applied here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Dialect
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import SelectBase
from sqlalchemy.types import TypeEngine

from .driver import Driver, Row

Statement: TypeAlias = SelectBase | UpdateBase

_Processor: TypeAlias = Callable[[Any], Any]


class Prepared:
    """A statement that is ready to run.

    Args:
        statement: Its bind parameters are all named; values are given at each run.
        driver: What runs it.
        range_checked: Builds the range-checked variant, which runs when a row holds a time or a duration that the
            driver cannot represent or that a TTL cannot be added to. The fast path does not pay for these checks.
            None: this statement is the range-checked one.
    """

    def __init__(
        self,
        statement: Statement,
        driver: Driver,
        range_checked: Callable[[], Prepared] | None = None,
    ) -> None:
        dialect = driver.dialect
        compiled = statement.compile(dialect=dialect)
        self._sql = str(compiled)
        self._driver = driver
        self._range_checked = range_checked
        self._order: Sequence[str] | None = compiled.positiontup
        # What Core made parameters of by itself, such as the 1 of "version + 1".
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}
        self._binders: list[tuple[str, _Processor]] = [
            (name, process)
            for name, bind in compiled.binds.items()
            if (process := _bind_processor(bind.type, dialect)) is not None
        ]
        self._loaders: list[tuple[int, _Processor]] = [
            (index, process)
            for index, column in enumerate(statement.exported_columns)
            if (process := _result_processor(column.type, dialect)) is not None
        ]

    @property
    def range_checked(self) -> Prepared:
        """The same for rows beyond what can be reckoned with: itself, where it does for them."""
        return self if self._range_checked is None else self._range_checked()

    async def fetch(self, connection: Any, params: Mapping[str, Any]) -> Sequence[Row]:
        """Runs the statement on a driver's connection, in one round trip, and returns its rows."""
        try:
            return await self._fetch(connection, params)
        except Exception as error:
            if self._range_checked is None or not self._driver.out_of_range(error):
                raise
        # Nothing was written: the server refused it, or it only read.
        return await self.range_checked.fetch(connection, params)

    async def _fetch(self, connection: Any, params: Mapping[str, Any]) -> Sequence[Row]:
        bound = {**self._constants, **params}
        for name, process in self._binders:
            bound[name] = process(bound[name])
        rows = await self._driver.fetch(
            connection, self._sql, bound if self._order is None else tuple(bound[name] for name in self._order)
        )
        return [self._load(row) for row in rows] if self._loaders else rows

    def _load(self, row: Row) -> Row:
        loaded = list(row)
        for index, process in self._loaders:
            loaded[index] = process(loaded[index])
        return loaded


def _bind_processor(type_: TypeEngine[Any], dialect: Dialect) -> _Processor | None:
    return type_.dialect_impl(dialect).bind_processor(dialect)


def _result_processor(type_: TypeEngine[Any], dialect: Dialect) -> _Processor | None:
    return type_.dialect_impl(dialect).result_processor(dialect, None)

"""Every option that SQLAlchemy has today is in one of the tables here: it works, or it is refused by its name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any, Final

import pytest
import sqlalchemy
from sqlalchemy import AssertionPool, NullPool, Pool, StaticPool, create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import _CoreKnownExecutionOptions
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.sql.compiler import COLLECT_CARTESIAN_PRODUCTS

from sessionstore import ConfigurationError, SqlStorageProvider, open_storage
from tests.storage.sql.connections.places import Place, assert_committed
from tests.storage.sql.connections.test_engine_options import LEVELS, OPTIONS, REFUSED, Given

DIALECT: dict[str, Given] = {
    "client_encoding": lambda _: {"client_encoding": "utf8"},
    "compiler_linting": lambda _: {"compiler_linting": COLLECT_CARTESIAN_PRODUCTS},
    "dbapi": lambda place: {"dbapi": create_async_engine(place.url).dialect.import_dbapi()},
    "empty_in_strategy": lambda _: {"empty_in_strategy": "dynamic"},
    "implicit_returning": lambda _: {"implicit_returning": False},
    "native_datetime": lambda _: {"native_datetime": True},
    "native_inet_types": lambda _: {"native_inet_types": False},
    "supports_native_boolean": lambda _: {"supports_native_boolean": False},
    "use_native_hstore": lambda _: {"use_native_hstore": False},
}
"""What the constructors of dialects take."""

ONLY: dict[str, tuple[str, ...]] = {
    "client_encoding": ("psycopg",),
    "native_datetime": ("sqlite",),
    "native_inet_types": ("psycopg", "asyncpg"),
    "use_native_hstore": ("psycopg",),
}
"""The drivers whose dialect has an option, if not all have it."""

DEPRECATED: Final = ("empty_in_strategy", "implicit_returning")

EXECUTION: dict[str, Any] = {
    "compiled_cache": {},
    "driver_column_names": True,
    "insertmanyvalues_page_size": 3,
    "is_delete_using": True,
    "is_update_from": True,
    "isolation_level": "AUTOCOMMIT",
    "logging_token": "mine",
    "max_row_buffer": 3,
    "no_parameters": True,
    "postgresql_deferrable": True,
    "postgresql_readonly": True,
    "preserve_rowcount": True,
    "schema_translate_map": {"other": "another"},
    "sqlite_raw_colnames": True,
    "stream_results": True,
    "yield_per": 1,
    "of the service": 1,
}
"""Execution options. The last one is for the service's own events, as SQLAlchemy documents them."""

POOLS: dict[str, Any] = {"AssertionPool": AssertionPool, "NullPool": NullPool, "StaticPool": StaticPool}
POOLS_REFUSED: dict[str, Any] = {"Pool": Pool, "QueuePool": sqlalchemy.QueuePool}
POOLS_REFUSED["SingletonThreadPool"] = sqlalchemy.SingletonThreadPool

NOT_OPTIONS: Final = {
    "strategy": "gone since SQLAlchemy 2, and refused by name",
    "tag": "an argument of echo's logger in the text of the documentation",
}


URLS: Final = ("postgresql://u@h/db", "postgresql+asyncpg://u@h/db", "sqlite+aiosqlite:///sessions.db")


def takes(option: str, place: Place) -> bool:
    return place.driver in ONLY.get(option, (place.driver,))


@pytest.mark.parametrize("option", DIALECT)
@pytest.mark.parametrize("whose", ["ours", "the service's"])
async def test_options_of_dialects_work_or_are_refused_by_name(place: Place, option: str, whose: str) -> None:
    given = DIALECT[option](place)
    if not takes(option, place):
        with pytest.raises(ConfigurationError, match=option):
            open_storage(place.url, **given)
        return
    with pytest.deprecated_call() if option in DEPRECATED else nullcontext():
        engine = None if whose == "ours" else create_async_engine(place.url, **given)
        storage = SqlStorageProvider(engine) if engine is not None else open_storage(place.url, **given)
    assert isinstance(storage, SqlStorageProvider)
    await assert_committed(storage, place)
    if engine is not None:
        await engine.dispose()


@pytest.mark.parametrize("name", EXECUTION)
@pytest.mark.parametrize("where", ["open_storage", "execution_options()"])
async def test_execution_options_work_or_are_refused_by_name(place: Place, name: str, where: str) -> None:
    given = {name: EXECUTION[name]}
    if where == "open_storage":
        if name == "schema_translate_map":
            with pytest.raises(ConfigurationError, match=name):
                open_storage(place.url, execution_options=given)
            return
        storage = open_storage(place.url, execution_options=given)
        assert isinstance(storage, SqlStorageProvider)
        await assert_committed(storage, place)
        return
    engine = create_async_engine(place.url)
    await assert_committed(SqlStorageProvider(engine.execution_options(**given)), place)
    await engine.dispose()


async def test_a_translation_of_our_schema_is_refused_by_name(place: Place) -> None:
    ours = None if place.driver == "sqlite" else "sessionstore"
    engine = create_async_engine(place.url, execution_options={"schema_translate_map": {ours: "other"}})

    with pytest.raises(ConfigurationError, match="schema_translate_map"):
        SqlStorageProvider(engine)
    await engine.dispose()


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("whose", ["ours", "the service's"])
async def test_an_acknowledged_write_is_committed_with_each_class_of_pool(place: Place, name: str, whose: str) -> None:
    engine = None if whose == "ours" else create_async_engine(place.url, poolclass=POOLS[name])
    storage = SqlStorageProvider(engine) if engine is not None else open_storage(place.url, poolclass=POOLS[name])
    assert isinstance(storage, SqlStorageProvider)
    await assert_committed(storage, place)
    if engine is not None:
        await engine.dispose()


@pytest.mark.parametrize("name", POOLS_REFUSED)
@pytest.mark.parametrize("url", URLS)
def test_a_class_of_pool_that_no_event_loop_can_use_is_refused_by_name(url: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}|poolclass"):
        open_storage(url, poolclass=POOLS_REFUSED[name])


@pytest.mark.parametrize("url", URLS)
def test_an_engine_whose_pool_makes_no_connections_is_refused_by_name(url: str) -> None:
    class Unfinished(Pool):
        """Leaves out what the base class leaves to its subclasses."""

    for name, poolclass in (("Pool", Pool), ("Unfinished", Unfinished)):
        with pytest.raises(ConfigurationError, match=f"poolclass {name} of the engine"):
            SqlStorageProvider(create_async_engine(url, poolclass=poolclass))


OTHER_KINDS: dict[str, tuple[Any, ...]] = {
    "connect_args": ("x", 5),
    "execution_options": ("x", 5),
    "creator": ("x", None),
    "async_creator": ("x", 5),
    "echo": ("x", 5, []),
    "echo_pool": ("x", 5, []),
    "label_length": ("x", 6.0, True),
    "compiler_linting": ("x", None),
    "module": ("x", 5),
    "plugins": (5, ["nonsense"]),
    "pool": ("x", 5, object),
    "poolclass": ("x", 5, object),
    "pool_reset_on_return": ("x", 5),
    "strategy": ("mock",),
}


@pytest.mark.filterwarnings("ignore:The create_engine.strategy keyword")
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, of in OTHER_KINDS.items() for value in of])
@pytest.mark.parametrize("url", URLS)
def test_a_value_of_another_kind_is_refused_by_the_name_of_its_option(url: str, name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=name):
        open_storage(url, **{name: value})


@pytest.mark.parametrize("whose", ["ours", "the service's"])
async def test_options_that_exclude_each_other_are_refused_by_the_first_call(place: Place, whose: str) -> None:
    given: dict[str, Any] = {"label_length": 40, "max_identifier_length": 30}
    engine = None if whose == "ours" else create_async_engine(place.url, **given)
    storage = SqlStorageProvider(engine) if engine is not None else open_storage(place.url, **given)

    with pytest.raises(ConfigurationError, match="label_length"):
        await storage.list()
    await storage.close()
    if engine is not None:
        await engine.dispose()


def parameters(of: Iterable[type]) -> set[str]:
    """The names that the constructors of classes take, along their base classes."""
    found: set[str] = set()
    for base in {base for cls in of for base in cls.__mro__}:
        if "__init__" in vars(base) and base is not object:
            for name, it in inspect.signature(vars(base)["__init__"]).parameters.items():
                if it.kind not in (it.VAR_KEYWORD, it.VAR_POSITIONAL) and not name.startswith("_"):
                    found.add(name)
    return found - {"self"}


def documented(text: str | None) -> set[str]:
    return set(re.findall(r":param (\w+)", text or ""))


def given_names(rows: Mapping[str, Given], place: Place) -> set[str]:
    return {name for given in rows.values() for name in given(place)}


def test_every_option_of_create_engine_and_of_the_dialects_has_a_row(place: Place) -> None:
    dialect = type(create_async_engine(place.url).dialect)
    there = parameters([dialect]) | documented(create_engine.__doc__) | documented(create_async_engine.__doc__)
    covered = given_names(OPTIONS | LEVELS | REFUSED | DIALECT, place)

    assert there - covered - NOT_OPTIONS.keys() == set()


def test_every_execution_option_has_a_row() -> None:
    there = documented(Connection.execution_options.__doc__) | set(_CoreKnownExecutionOptions.__annotations__)

    assert there - EXECUTION.keys() == set()


def test_every_class_of_pool_has_a_row_and_so_has_each_of_its_parameters(place: Place) -> None:
    classes = {name: it for name, it in vars(sqlalchemy.pool).items() if inspect.isclass(it) and issubclass(it, Pool)}
    covered = POOLS.keys() | POOLS_REFUSED.keys() | OPTIONS.keys()
    assert classes.keys() - covered == set()

    # `creator`, `events` and `dialect` are what SQLAlchemy itself gives.
    names = {f"pool_{name.removeprefix('pool_')}" for name in parameters(classes.values())}
    names -= {"pool_creator", "pool_events", "pool_dialect", "pool_max_overflow", "pool_echo"}
    assert names - given_names(OPTIONS, place) == set()

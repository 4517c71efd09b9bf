"""The engine options of open_storage(), such as the pool size: their defaults, and checks that name an option."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import isclass
from typing import Any, Final

from sqlalchemy import Dialect, Pool, QueuePool
from sqlalchemy.ext.asyncio import AsyncEngine

from ....errors import ConfigurationError

_AUTOCOMMIT: Final = "AUTOCOMMIT"

# SQLAlchemy accepts any value here, and fails later, when the pool is used.
_POOL_NUMBERS: Final[Mapping[str, tuple[Any, int, str]]] = {
    "pool_size": ((int,), 0, "a whole number, 0 for no limit"),
    "max_overflow": ((int,), -1, "a whole number, -1 for no limit"),
    "pool_timeout": ((int, float), 0, "a number of seconds"),
    "pool_recycle": ((int, float), -1, "a number of seconds, -1 for never"),
}


def _mapping(value: object) -> bool:
    return value is None or isinstance(value, Mapping)


def _echo(value: object) -> bool:
    return value is None or isinstance(value, bool) or value == "debug"


def _pool_class(value: object) -> bool:
    return value is None or (isclass(value) and issubclass(value, Pool) and value is not Pool)


# SQLAlchemy accepts any value here too, or its error does not name the option.
_KINDS: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "connect_args": (_mapping, "a dict of arguments of the driver"),
    "execution_options": (_mapping, "a dict"),
    "creator": (callable, "a function that connects"),
    "async_creator": (lambda value: value is None or callable(value), "a coroutine function that connects"),
    "echo": (_echo, 'True, False or "debug"'),
    "echo_pool": (_echo, 'True, False or "debug"'),
    "label_length": (lambda value: value is None or type(value) is int, "a whole number"),
    "pool": (lambda value: value is None or isinstance(value, Pool), "a pool"),
    "poolclass": (_pool_class, "a class of pool, such as NullPool"),
}


def check(options: Mapping[str, Any]) -> None:
    """Checks those option values that SQLAlchemy does not check, or whose error does not name the option.

    Raises:
        ConfigurationError: A value has the wrong type, or is too small. The message names the option.
    """
    for name, (fits, wanted) in _KINDS.items():
        if name in options and not fits(options[name]):
            raise ConfigurationError(f"{name} of open_storage() must be {wanted}, not a {type(options[name]).__name__}")
    for name, (kinds, least, wanted) in _POOL_NUMBERS.items():
        value: Any = options.get(name, least)
        if isinstance(value, bool) or not isinstance(value, kinds) or not value >= least:
            raise ConfigurationError(f"{name} of open_storage() must be {wanted}, not {value!r}")


def defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns our defaults for the options of create_async_engine(). The caller's options override them."""
    made: dict[str, Any] = {
        "isolation_level": _AUTOCOMMIT,
        # SQLAlchemy's errors quote parameters, which are states.
        "hide_parameters": True,
    }
    if options.get("pool") is not None:
        return made  # the caller made the pool
    # In AUTOCOMMIT there is nothing to roll back. An operation with a transaction ends the transaction itself.
    made["pool_reset_on_return"] = None
    if issubclass(options.get("poolclass") or QueuePool, QueuePool):
        made |= {"pool_size": 10, "max_overflow": 0}
    return made


def refuse(options: Mapping[str, Any], connect_args: Mapping[str, Any]) -> None:
    """Refuses options of SQLAlchemy that cannot work here.

    Raises:
        ConfigurationError: Such an option is given. The message names it.
    """
    execution: Mapping[str, Any] = options.get("execution_options") or {}
    for place, given in (("isolation_level", options), ("execution_options", execution)):
        level = given.get("isolation_level")
        if level is not None and (not isinstance(level, str) or level.upper() != _AUTOCOMMIT):
            raise ConfigurationError(
                f"open_storage() does not take {place} {level!r}: each statement commits by itself, in AUTOCOMMIT; for "
                "another level of single statements, set default_transaction_isolation for the role"
            )
    if execution.get("schema_translate_map"):
        raise ConfigurationError("open_storage() does not take schema_translate_map; name the schema with schema=")
    for name in ("row_factory", "cursor_factory"):
        if name in connect_args:
            raise ConfigurationError(f"open_storage() does not take {name} in connect_args: rows are read by position")


def check_pool(engine: AsyncEngine) -> None:
    """Checks that the class of an engine's pool makes connections, which SQLAlchemy's base class `Pool` does not.

    Raises:
        ConfigurationError: The class makes no connections.
    """
    made = type(engine.pool)
    # A class of pool has to implement this method.
    if made._do_get is Pool._do_get:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        raise ConfigurationError(
            f"poolclass {made.__name__} of the engine makes no connections: give a class that does, such as NullPool"
        )


def check_translation(engine: AsyncEngine, schema: str | None) -> None:
    """Checks that an engine does not translate the name of our schema, because our statements would not follow.

    Raises:
        ConfigurationError: The engine translates the name.
    """
    names: Mapping[str | None, str | None] = (
        engine.sync_engine.get_execution_options().get("schema_translate_map") or {}
    )
    if names.get(schema, schema) != schema:
        raise ConfigurationError(
            f"schema_translate_map of the engine translates the schema {schema!r}, which sessionstore does not follow; "
            "name the schema with SqlStorageProvider(schema=), and give an engine without this entry"
        )


def unusable(dialect: Dialect) -> str | None:
    """Returns a message about an option with which SQLAlchemy cannot connect; None: there is no such option."""
    # There is no public name for the level that an engine was given.
    level: object = getattr(dialect, "_on_connect_isolation_level", None)
    if level is not None:
        of_no_connection: Any = None
        known = [name.replace("_", " ").upper() for name in dialect.get_isolation_level_values(of_no_connection)]
        if not isinstance(level, str) or level.replace("_", " ").upper() not in known:
            return (
                f"isolation_level {level!r} of the engine is no level of {dialect.driver}, which has "
                f"{', '.join(sorted(known))}; give the engine another one, or none"
            )
    label, longest = (getattr(dialect, name, None) for name in ("label_length", "max_identifier_length"))
    if isinstance(label, int) and isinstance(longest, int) and label > longest:
        return (
            f"label_length {label} of the engine is greater than max_identifier_length, {longest}; give the engine a "
            "smaller label_length, or none"
        )
    return None

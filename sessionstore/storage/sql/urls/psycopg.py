"""Translates libpq's parameters into arguments of psycopg, and keeps a service's adapters away from our connections."""

from __future__ import annotations

import json
from functools import cache
from importlib import import_module
from typing import Any

from ....errors import ConfigurationError
from .environment import OF_LIBPQ, add_from_environment, check_environment
from .libpq import Place


def psycopg_arguments(place: Place) -> dict[str, Any]:
    """Returns the arguments of psycopg's connect() for a URL.

    Raises:
        ConfigurationError: The installed libpq does not know a parameter, or a variable has a value that libpq does
            not know; the message has its name.
    """
    arguments: dict[str, Any] = dict(place.parameters)
    check_environment(place, OF_LIBPQ, services=True)
    add_from_environment(arguments, "connect_timeout")
    known = {option.keyword.decode() for option in import_module("psycopg").pq.Conninfo.get_defaults()}
    if unknown := sorted(arguments.keys() - known):
        raise ConfigurationError(f"{unknown[0]} in the storage URL needs a newer libpq than the one that is installed")
    for name, values in zip(("host", "port"), zip(*place.hosts, strict=True), strict=False):
        # An empty parameter is left out, because "" would override PGHOST, PGPORT and the service by libpq's default.
        if any(values):
            arguments[name] = ",".join(values)
    # UTF8 overrides the settings of the role and of the database, and PGCLIENTENCODING.
    return arguments | {"client_encoding": "UTF8", "context": default_adapters()}


@cache
def default_adapters() -> Any:
    """Returns psycopg's default adapters, without those that a service registered for the whole process.

    All connections share these adapters, because making them takes a millisecond. A connection copies them before it
    changes them.
    """
    # As psycopg itself does when it is imported.
    postgres = import_module("psycopg.postgres")
    adapters = import_module("psycopg.adapt").AdaptersMap()
    postgres.register_default_types(adapters.types)
    postgres.register_default_adapters(adapters)
    import_module("psycopg.dbapi20").register_dbapi20_adapters(adapters)
    import_module("psycopg.types.array").register_all_arrays(adapters)
    # The function for JSON is an attribute of psycopg's class, which set_json_loads() changes for the whole process.
    import_module("psycopg.types.json").set_json_loads(json.loads, adapters)
    return adapters

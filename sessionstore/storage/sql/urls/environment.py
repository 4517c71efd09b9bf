"""The environment variables of libpq, for parameters that a PostgreSQL URL leaves out.

https://www.postgresql.org/docs/current/libpq-envars.html
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from typing import Final

from ....errors import ConfigurationError
from .libpq import Place
from .parameters import PARAMETERS

_VARIABLES: Final = {
    "application_name": "PGAPPNAME",
    "channel_binding": "PGCHANNELBINDING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "gssencmode": "PGGSSENCMODE",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "options": "PGOPTIONS",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "sslcertmode": "PGSSLCERTMODE",
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}

OF_LIBPQ: Final = (
    "channel_binding",
    "gssencmode",
    "load_balance_hosts",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcertmode",
    "sslmode",
    "sslnegotiation",
    "target_session_attrs",
)
"""The parameters with a choice of values that libpq takes from its variables."""

OF_ASYNCPG: Final = (
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslmode",
    "sslnegotiation",
    "target_session_attrs",
)
"""The parameters with a choice of values that asyncpg takes from libpq's variables."""

_MAY_BE_EMPTY: Final = ("ssl_max_protocol_version", "ssl_min_protocol_version")
_PORTS: Final = re.compile(r"[0-9]{1,5}(,[0-9]{1,5})*")


def check_environment(place: Place, names: Collection[str], *, services: bool) -> None:
    """Checks the variables of libpq that the driver reads for a URL. The driver's own errors do not name the variable.

    Args:
        place: The content of the URL, which overrides variables.
        names: The parameters with a choice of values that the driver takes from variables.
        services: Whether the driver reads the service that PGSERVICE names. A service overrides variables.

    Raises:
        ConfigurationError: libpq does not know the value of a variable; the message has its name.
    """
    given = place.parameters
    service = given.get("service", os.environ.get("PGSERVICE")) if services else None
    if service:
        return
    if service is not None:
        raise _refusal("PGSERVICE", service, "has to be the name of a service")
    for name in names:
        value = os.environ.get(_VARIABLES[name])
        if value is None or name in given or (not value and name in _MAY_BE_EMPTY):
            continue
        if said := PARAMETERS[name](value):
            raise _refusal(_VARIABLES[name], value, said)
    port = os.environ.get("PGPORT")
    if port and not _PORTS.fullmatch(port) and not (place.hosts and all(port for _, port in place.hosts)):
        raise _refusal("PGPORT", port, "has to be a port, or one for each host")


def add_from_environment(parameters: dict[str, str], *names: str) -> None:
    """Adds parameters from libpq's variables.

    For drivers that do not read these variables, and for parameters whose default would override a variable.

    Raises:
        ConfigurationError: A variable has a value that libpq does not know.
    """
    for name in names:
        value = os.environ.get(_VARIABLES[name])
        if value and name not in parameters:
            if said := PARAMETERS[name](value):
                raise _refusal(_VARIABLES[name], value, said)
            parameters[name] = value


def _refusal(variable: str, value: str, said: str) -> ConfigurationError:
    if not value:
        return ConfigurationError(f"the variable {variable} is empty: remove it, or give it a value; it {said}")
    return ConfigurationError(f"the variable {variable} {said}")

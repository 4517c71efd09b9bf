"""Translates libpq's parameters into arguments of asyncpg, and refuses those that asyncpg does not support."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from itertools import product
from random import sample
from typing import Any, Final
from urllib.parse import urlencode

from ....errors import ConfigurationError
from .environment import OF_ASYNCPG, add_from_environment, check_environment
from .libpq import Place
from .sockets import SILENCE, SOCKET_PARAMETERS, tune

# asyncpg has these parameters under the same names.
_SAME: Final = ("user", "password", "passfile", "krbsrvname", "gsslib", "target_session_attrs")

# asyncpg reads these parameters from a DSN only.
_IN_DSN: Final = (
    "sslmode",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslrootcert",
    "sslcrl",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
)

# asyncpg always does what these values ask for, so they are accepted. "*": every value is accepted.
_DONE_ANYWAY: Final[Mapping[str, tuple[str, ...]]] = {
    "channel_binding": ("disable", "prefer"),
    "client_encoding": ("*",),
    "gssdelegation": ("0",),
    "gssencmode": ("disable", "prefer"),
    "max_protocol_version": ("*",),
    "min_protocol_version": ("3.0",),
    "replication": ("*",),
    "sslcertmode": ("allow",),
    "sslcompression": ("*",),
    "sslsni": ("1",),
}

_PSYCOPG: Final = "Or use psycopg, whose URLs begin with postgresql://"

_READ: Final = {"application_name", "connect_timeout", "dbname", "fallback_application_name", "hostaddr", "options"}
_SOCKETS: Final = ("keepalives", *SOCKET_PARAMETERS)
_READ_TOO: Final = {"load_balance_hosts", "sslnegotiation"}


def asyncpg_arguments(place: Place) -> dict[str, Any]:
    """Returns the arguments of asyncpg.connect() for a URL.

    Raises:
        ConfigurationError: asyncpg does not support a parameter; the message has its name.
    """
    given = dict(place.parameters)
    add_from_environment(given, "application_name", "connect_timeout", "load_balance_hosts", "options")
    _refuse(given)
    _check_variables(place)
    arguments: dict[str, Any] = {name: given[name] for name in _SAME if name in given}
    if "dbname" in given:
        arguments["database"] = given["dbname"]
    if "connect_timeout" in given:
        seconds = int(given["connect_timeout"])
        arguments["timeout"] = seconds if seconds > 0 else None
    settings = {"options": given.get("options")}
    settings["application_name"] = given.get("application_name") or given.get("fallback_application_name")
    arguments["server_settings"] = {name: value for name, value in settings.items() if value}
    return arguments | _tls(given) | _hosts(place, given)


def _refuse(given: Mapping[str, str]) -> None:
    known = {*_SAME, *_IN_DSN, *_READ, *_READ_TOO, *_SOCKETS}
    for name in given.keys() - known:
        if name not in _DONE_ANYWAY or not {"*", given[name]}.intersection(_DONE_ANYWAY[name]):
            raise ConfigurationError(
                f"asyncpg cannot do what {name} in the storage URL asks for: leave it out. {_PSYCOPG}"
            )


def _check_variables(place: Place) -> None:
    if os.environ.get("PGSERVICE") and not any(host for host, _ in place.hosts):
        raise ConfigurationError(
            "asyncpg cannot read the service that the variable PGSERVICE names: write the host into the storage URL. "
            f"{_PSYCOPG}"
        )
    check_environment(place, OF_ASYNCPG, services=False)


def _tls(given: Mapping[str, str]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if given.get("sslnegotiation") == "direct":
        if not hasattr(import_module("asyncpg.connect_utils"), "_ALPN_PROTOCOLS"):
            raise ConfigurationError(
                "sslnegotiation=direct in the storage URL needs asyncpg 0.32 or newer, because servers refuse direct "
                f"TLS without ALPN: update asyncpg. {_PSYCOPG}"
            )
        arguments["direct_tls"] = True
    if given.get("sslrootcert") == "system":
        context = ssl.create_default_context()
        context.set_alpn_protocols(["postgresql"])
        if "sslcert" in given:
            context.load_cert_chain(given["sslcert"], given.get("sslkey"), given.get("sslpassword"))
        return arguments | {"ssl": context}
    if in_dsn := {name: given[name] for name in _IN_DSN if name in given}:
        arguments["dsn"] = f"postgresql://?{urlencode(in_dsn)}"
    return arguments


def _hosts(place: Place, given: Mapping[str, str]) -> dict[str, Any]:
    hosts = place.hosts
    if addresses := given.get("hostaddr", "").split(",") if "hostaddr" in given else []:
        if any(host for host, _ in hosts):
            raise ConfigurationError(
                f"asyncpg cannot use hostaddr and a host in the storage URL together: leave one of them out. {_PSYCOPG}"
            )
        ports = [port for _, port in hosts] or [""]
        hosts = tuple(zip(addresses, ports * len(addresses), strict=False))
    if any(host.startswith("@") for host, _ in hosts):
        raise ConfigurationError(
            f"asyncpg cannot use the abstract socket (@...) in the storage URL: name a socket's directory. {_PSYCOPG}"
        )
    # Without a host or a port, asyncpg reads libpq's environment variables or looks in the usual socket directories.
    named = [{name: value for name, value in (("host", host), ("port", port)) if value} for host, port in hosts]
    if len(named) > 1 and not all("host" in each for each in named):
        raise ConfigurationError(
            f"a host in the storage URL has no name, and asyncpg has no default for it: name each host. {_PSYCOPG}"
        )
    sockets = {**SILENCE, **{name: given[name] for name in _SOCKETS if name in given}}
    balanced = given.get("load_balance_hosts") == "random"
    return {"async_creator_fn": partial(_connect_in_turn, named or [{}], balanced, sockets)}


async def _connect_in_turn(
    hosts: Sequence[Mapping[str, str]], balanced: bool, sockets: Mapping[str, str], /, **arguments: Any
) -> Any:
    """Connects to the first host that answers and has the wanted attributes. Each host has its own timeout.

    asyncpg itself has one timeout for all hosts together: one host that does not answer uses it up.
    """
    asyncpg = import_module("asyncpg")
    wanted = arguments.pop("target_session_attrs", None)
    attempts = product(
        ("standby", "any") if wanted == "prefer-standby" else (wanted,),
        sample(hosts, len(hosts)) if balanced else hosts,
    )
    failure: Exception | None = None
    for attributes, host in attempts:
        try:
            connection = await asyncpg.connect(target_session_attrs=attributes, **{**arguments, **host})
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched) as error:
            failure = error
        else:
            # asyncpg has no public name for the transport.
            tune(connection._transport.get_extra_info("socket"), sockets)  # noqa: SLF001
            return connection
    raise failure or AssertionError("there is at least one host")

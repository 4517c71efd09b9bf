"""The parameters of a PostgreSQL URL: those that libpq documents, with checks of their values.

https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final, TypeAlias

from ....errors import ConfigurationError

Check: TypeAlias = Callable[[str], str | None]
"""Checks a value. Returns the end of the error message, which begins with the parameter's name; None: it is valid."""


def _one_of(*values: str) -> Check:
    return lambda value: None if value in values else f"has to be one of {', '.join(values)}"


def _number(value: str) -> str | None:
    return None if re.fullmatch(r"-?[0-9]{1,9}", value) else "has to be a whole number"


def _file(value: str) -> str | None:
    return None if Path(value).is_file() else "names a file that does not exist, or that this user may not see"


def _roots(value: str) -> str | None:
    return None if value == "system" else _file(value)


def _utf8(value: str) -> str | None:
    known = value.lower().replace("-", "").replace("_", "") in ("utf8", "unicode")
    return None if known else "must be UTF8, because sessions are always read and written in UTF-8"


def _no_replication(value: str) -> str | None:
    known = value.lower() in ("false", "off", "no", "0")
    return None if known else "would make connections that read no tables; leave it out"


def _anything(_: str) -> None:
    return None


_SWITCH: Final = _one_of("0", "1")
_TLS_VERSION: Final = _one_of("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_PROTOCOL_VERSION: Final = _one_of("3.0", "3.2", "latest")

PARAMETERS: Final[Mapping[str, Check]] = {
    "host": _anything,
    "hostaddr": _anything,
    "port": _anything,
    "dbname": _anything,
    "user": _anything,
    "password": _anything,
    "passfile": _anything,
    "require_auth": _anything,
    "channel_binding": _one_of("disable", "prefer", "require"),
    "connect_timeout": _number,
    "client_encoding": _utf8,
    "options": _anything,
    "application_name": _anything,
    "fallback_application_name": _anything,
    "keepalives": _SWITCH,
    "keepalives_idle": _number,
    "keepalives_interval": _number,
    "keepalives_count": _number,
    "tcp_user_timeout": _number,
    "replication": _no_replication,
    "gssencmode": _one_of("disable", "prefer", "require"),
    "sslmode": _one_of("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": _one_of("postgres", "direct"),
    "sslcompression": _SWITCH,
    "sslcert": _file,
    "sslkey": _anything,  # a file, or a key in an engine of OpenSSL
    "sslkeylogfile": _anything,
    "sslpassword": _anything,
    "sslcertmode": _one_of("disable", "allow", "require"),
    "sslrootcert": _roots,
    "sslcrl": _file,
    "sslcrldir": _anything,
    "sslsni": _SWITCH,
    "requirepeer": _anything,
    "ssl_min_protocol_version": _TLS_VERSION,
    "ssl_max_protocol_version": _TLS_VERSION,
    "min_protocol_version": _PROTOCOL_VERSION,
    "max_protocol_version": _PROTOCOL_VERSION,
    "krbsrvname": _anything,
    "gsslib": _one_of("gssapi", "sspi"),
    "gssdelegation": _SWITCH,
    "scram_client_key": _anything,
    "scram_server_key": _anything,
    "service": _anything,
    "servicefile": _anything,
    "target_session_attrs": _one_of("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "load_balance_hosts": _one_of("disable", "random"),
    "oauth_issuer": _anything,
    "oauth_client_id": _anything,
    "oauth_client_secret": _anything,
    "oauth_scope": _anything,
}
"""The parameters of libpq up to version 18."""

_POOL: Final = "open_storage() takes it as an argument"
_UNPREPARED: Final = "a pooler in transaction mode needs prepared_statements=false, and nothing else"
_SCHEMA: Final = "the schema is given by SESSIONSTORE_SCHEMA, --schema or open_storage(schema=...)"
_SETTING: Final = "a setting of the server is written ?options=-c%20name%3Dvalue"
_TIMEOUT: Final = "libpq calls it connect_timeout, in seconds"

_HINTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("pool_size", "max_overflow", "pool_timeout", "pool_recycle", "pool_pre_ping", "poolclass"), _POOL),
    **dict.fromkeys(("connection_limit", "pool_min_size", "pool_max_size"), "open_storage() takes pool_size"),
    **dict.fromkeys(("pgbouncer", "statement_cache_size", "prepared_statement_cache_size"), _UNPREPARED),
    **dict.fromkeys(("prepare_threshold", "preparethreshold", "prepared_statement_name_func"), _UNPREPARED),
    **dict.fromkeys(("schema", "currentschema"), _SCHEMA),
    **dict.fromkeys(("search_path", "timezone", "lock_timeout", "idle_in_transaction_session_timeout"), _SETTING),
    **dict.fromkeys(("timeout", "connecttimeout", "logintimeout"), _TIMEOUT),
    **dict.fromkeys(("database", "db", "dbname"), "libpq calls it dbname"),
    **dict.fromkeys(("ssl", "sslaccept"), "libpq calls it sslmode, as in sslmode=require"),
    "username": "libpq calls it user",
    "applicationname": "libpq calls it application_name",
    "targetservertype": "libpq calls it target_session_attrs",
}
"""Hints for the parameter names of other drivers and tools, in lower case."""


def check_parameters(given: Mapping[str, str], own: Collection[str]) -> None:
    """Checks the parameters of a URL.

    Args:
        given: The names and values.
        own: The names of this library's own options, which are not checked here.

    Raises:
        ConfigurationError: libpq does not know a name or a value; the message has the name.
    """
    for name, value in given.items():
        if name in own:
            continue
        if name not in PARAMETERS:
            hint = _HINTS.get(name.lower()) or _guess(name, own)
            raise ConfigurationError(f"unknown parameter {name} in the storage URL: {hint}")
        if said := PARAMETERS[name](value):
            raise ConfigurationError(f"{name} in the storage URL {said}")
    _check_roots(given)
    _check_negotiation(given)


def _guess(name: str, own: Collection[str]) -> str:
    meant = get_close_matches(name.lower(), [*PARAMETERS, *own], n=1)
    if meant:
        return f"{meant[0]} may be meant"
    return f"known are {', '.join(sorted(own))} and the parameters of libpq"


def _check_negotiation(given: Mapping[str, str]) -> None:
    if given.get("sslnegotiation") != "direct" or "service" in given or given.get("sslrootcert") == "system":
        return
    if (given.get("sslmode") or os.environ.get("PGSSLMODE")) not in ("require", "verify-ca", "verify-full"):
        raise ConfigurationError(
            "sslnegotiation=direct in the storage URL needs TLS: add sslmode=require, verify-ca or verify-full"
        )


def _check_roots(given: Mapping[str, str]) -> None:
    mode, roots = given.get("sslmode", ""), given.get("sslrootcert")
    if roots == "system" and mode not in ("", "verify-full"):
        raise ConfigurationError("sslrootcert=system in the storage URL needs sslmode=verify-full")
    if not mode.startswith("verify") or roots or os.environ.get("PGSSLROOTCERT"):
        return
    if "service" not in given and not Path("~/.postgresql/root.crt").expanduser().is_file():
        raise ConfigurationError(
            f"sslmode={mode} in the storage URL needs certificates to compare with: add sslrootcert=FILE, or "
            "sslrootcert=system for those of the operating system"
        )

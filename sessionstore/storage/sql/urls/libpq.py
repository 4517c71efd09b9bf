"""The parser of PostgreSQL URLs, in libpq's and in SQLAlchemy's form.

https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS

SQLAlchemy's own parser accepts several hosts only as parameters, and checks no parameter: a driver reports an unknown
one when it connects, if at all.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, NoReturn
from urllib.parse import unquote_to_bytes

from ....errors import ConfigurationError
from .parameters import PARAMETERS, check_parameters

_HIGHEST_PORT: Final = 65535
_HOST: Final = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::([^:]*))?")
# The value of the parameter `host` may have a port too. A value with two colons is an IPv6 address.
_HOST_PARAMETER: Final = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]/]*))(?::([0-9]*))?")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,62}")

_ENCODE: Final = (
    "special characters of the user and the password have to be percent-encoded, @ as %40, / as %2F, : as %3A, "
    "? as %3F and % as %25"
)


@dataclass(frozen=True, slots=True)
class Place:
    """The content of a PostgreSQL URL.

    Attributes:
        hosts: Pairs of a host and a port. A host is a name, an address, or the directory of a socket; "" is the
            default. Empty: libpq's default host.
        parameters: All other parameters, by libpq's names.
        own: This library's own options, as text.
    """

    hosts: tuple[tuple[str, str], ...]
    parameters: dict[str, str] = field(repr=False)
    own: dict[str, str] = field(repr=False)


def read_place(text: str, own: Collection[str]) -> Place:
    """Parses the part of a URL after "://".

    Args:
        text: The part after "://".
        own: The names of this library's own options.

    Raises:
        ConfigurationError: The URL does not parse, or a parameter or its value is unknown.
    """
    place, _, query = text.partition("?")
    authority, _, path = place.partition("/")
    login, at, hostlist = authority.rpartition("@")
    if "@" in login or ("@" in path and not at):
        _does_not_parse(f"it has one @ too many; {_ENCODE}")
    hosts = [_host(part, _HOST) for part in hostlist.split(",")] if hostlist else []
    parameters = _login(login) | ({"dbname": _decoded(path)} if path else {})
    host_parameters, others = _parameters(query)
    parameters |= others
    _translate(parameters)
    check_parameters(parameters, own)
    if host_parameters:
        given = [_host(part, _HOST_PARAMETER) for value in host_parameters for part in value.split(",")]
        # `host` as a parameter replaces the host in the URL. The port in the URL then applies to the parameter.
        port = hosts[0][1] if len(hosts) == 1 and not any(port for _, port in given) else ""
        hosts = [(host, own_port or port) for host, own_port in given]
    if ports := parameters.pop("port", ""):
        hosts = _with_ports(hosts, ports.split(","))
    ours = {name: parameters.pop(name) for name in own if name in parameters}
    return Place(tuple(hosts), parameters, ours)


def _login(text: str) -> dict[str, str]:
    user, colon, password = text.partition(":")
    found = {"user": _decoded(user)} if user else {}
    return found | ({"password": _decoded(password)} if colon else {})


def _host(text: str, form: re.Pattern[str]) -> tuple[str, str]:
    match = form.fullmatch(text)
    if match is None:
        if form is _HOST_PARAMETER:
            return text, ""
        _does_not_parse(f"a host is a name or an address, and an IPv6 address is written in [ ]; {_ENCODE}")
    address, name, port = match.groups(default="")
    host = _decoded(address or name) if form is _HOST else address or name
    if not host.startswith("/") and re.search(r"\s", host):
        _does_not_parse(f"a host contains a blank; {_ENCODE}")
    return host, _port(port)


def _port(text: str) -> str:
    if text and not (re.fullmatch(r"[0-9]{1,5}", text) and 0 < int(text) <= _HIGHEST_PORT):
        _does_not_parse(f"a port is a number from 1 to {_HIGHEST_PORT}; {_ENCODE}")
    return text


def _parameters(query: str) -> tuple[list[str], dict[str, str]]:
    """Splits the parameters into the hosts and the others. SQLAlchemy repeats `host` for each host."""
    hosts: list[str] = []
    others: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, equals, text = part.partition("=")
        # The text is not shown in the error, because it may be the end of a password.
        if not equals or not _NAME.fullmatch(name) or ("@" in text and name not in PARAMETERS):
            _does_not_parse(f"parameters follow the ?, as in ?name=value&name=value; {_ENCODE}")
        value = _decoded(text)
        if name == "host":
            hosts += [value] if value else []
        elif others.setdefault(name, value) != value:
            raise ConfigurationError(f"the storage URL has the parameter {name} twice, with different values")
    return hosts, others


def _translate(parameters: dict[str, str]) -> None:
    """Replaces common parameters of other drivers by those of libpq."""
    # JDBC's ssl=true, which libpq accepts too, and SQLAlchemy's ssl=MODE for asyncpg.
    ssl = parameters.get("ssl", "").replace("true", "require")
    if ssl and PARAMETERS["sslmode"](ssl) is None:
        del parameters["ssl"]
        parameters.setdefault("sslmode", ssl)
    if "options" in parameters:
        # SQLAlchemy writes a blank as "+", which libpq reads as a plus. No switch begins with a plus.
        parameters["options"] = re.sub(r"(?<=-c)\+|\+(?=-)", " ", parameters["options"])


def _with_ports(hosts: list[tuple[str, str]], ports: list[str]) -> list[tuple[str, str]]:
    ports = [_port(port) for port in ports]
    hosts = hosts or [("", "")]
    if len(ports) not in (1, len(hosts)):
        raise ConfigurationError(
            f"the storage URL has {len(ports)} ports for {len(hosts)} host(s): give one for all, or one for each"
        )
    return [(host, port) for (host, _), port in zip(hosts, ports * len(hosts), strict=False)]


def _decoded(text: str) -> str:
    """Decodes percent-encoding."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        _does_not_parse(f"a % in it is not followed by two hexadecimal digits; {_ENCODE}")
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        _does_not_parse("the bytes of its percent-encoding are not UTF-8")
    if any(ord(character) < ord(" ") for character in decoded):
        _does_not_parse("it contains a line break or another control character")
    return decoded


def _does_not_parse(why: str) -> NoReturn:
    # The message quotes no part of the URL, because an unescaped password is a common reason.
    raise ConfigurationError(
        f"the storage URL does not parse: {why}. It should look like postgresql://user:password@host:5432/database"
    ) from None

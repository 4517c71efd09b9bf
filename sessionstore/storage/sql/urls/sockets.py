"""TCP keepalive settings of a connection under libpq's names, for drivers that have no such settings."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

SOCKET_PARAMETERS: Final[Mapping[str, str]] = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}
"""libpq's names, and the socket options of the operating system, which may lack some. 0: the system's default."""


SILENCE: Final[Mapping[str, str]] = {
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",  # milliseconds
}
"""The defaults. With these settings a lost peer is noticed within half a minute."""


def tune(connection: socket.socket, parameters: Mapping[str, str]) -> None:
    """Sets the socket options for the parameters, as libpq does. Does nothing for a Unix socket."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(parameters.get("keepalives", "1")))
    for name, option in SOCKET_PARAMETERS.items():
        value = int(parameters.get(name, "0"))
        if value > 0 and hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

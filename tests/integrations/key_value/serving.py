"""Server processes that take turns, or share one address, as a deployment's do."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.processes import ROOT


class Servers:
    """Server processes behind one address. Connections wait until a process accepts them.

    Args:
        storage_url: Where the servers keep what they know.
        listening: The socket that all of them accept from.
        identity: Where the identity provider is; "": nobody has to log in.
    """

    def __init__(self, storage_url: str, listening: socket.socket, identity: str = "") -> None:
        self.base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.url = f"{self.base_url}/mcp"
        self._listening = listening
        self._arguments = [storage_url, str(listening.fileno()), self.base_url, identity]
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self) -> int:
        """Starts one, and returns its process id."""
        command = [sys.executable, "-m", "tests.integrations.key_value.server", *self._arguments]
        self._running.append(subprocess.Popen(command, cwd=ROOT, pass_fds=[self._listening.fileno()]))
        return self._running[-1].pid

    def kill(self) -> None:
        """Kills all of them, without a warning."""
        while self._running:
            process = self._running.pop()
            process.send_signal(signal.SIGKILL)
            process.wait()


@contextmanager
def servers(storage_url: str, identity: str = "") -> Iterator[Servers]:
    """An address, and no process yet."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        behind = Servers(storage_url, listening, identity)
        try:
            yield behind
        finally:
            behind.kill()

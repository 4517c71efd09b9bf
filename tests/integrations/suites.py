"""The frameworks' own tests, from their source distributions: downloaded once, checked, unpacked, never copied."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

from .frameworks import FRAMEWORK, Suite, frameworks

NO_NETWORK: Final = (
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "Max retries exceeded",
)
"""What pip writes when it cannot reach an index."""


class NoNetworkError(Exception):
    """The package index cannot be reached."""


def suite(package: str) -> Path:
    """The folder of the unpacked source distribution, in a test of the framework that names it.

    If the framework names several of the package, that of the installed version, else the last one.
    """
    (framework,) = [one for one in frameworks() if one.name == os.environ[FRAMEWORK]]
    named = {one.version: one for one in framework.suites if one.package == package}
    return named.get(version(package), [*named.values()][-1]).folder


def pip(python: Path | str, *arguments: str) -> None:
    """Runs pip in an environment.

    Raises:
        NoNetworkError: It could not reach the index.
        CalledProcessError: It failed otherwise.
    """
    command = [python, "-m", "pip", "--disable-pip-version-check", "--retries", "3", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        if any(sign in done.stderr + done.stdout for sign in NO_NETWORK):
            raise NoNetworkError
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)


def fetch(suite: Suite) -> None:
    """Downloads and unpacks a suite that is not there yet. pip compares the hash."""
    if suite.folder.exists():
        return
    suite.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=suite.folder.parent) as made:
        directory = Path(made)
        pinned = directory / "suite.txt"
        pinned.write_text(f"{suite.package}=={suite.version} --hash=sha256:{suite.sha256}\n", encoding="utf-8")
        exact = ["--no-deps", "--no-binary", suite.package, "--require-hashes", "--requirement", str(pinned)]
        pip(sys.executable, "download", "--quiet", *exact, "--dest", str(directory / "sdist"))
        (archive,) = (directory / "sdist").iterdir()
        with tarfile.open(archive) as packed:
            packed.extractall(directory / "unpacked", filter="data")
        (folder,) = (directory / "unpacked").iterdir()
        shutil.move(folder, suite.folder)

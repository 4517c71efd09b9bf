"""The parser of SQLite URLs, in SQLAlchemy's form."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ....errors import ConfigurationError
from .options import OPTIONS, truth

# The first version with the operators "->" and "->>", which statements on batches use.
_OLDEST: Final = (3, 38)

_FORM: Final = "it should look like sqlite:///file.db, or sqlite:////directory/file.db with a path from the root"

_READERS: Final[Mapping[str, tuple[Callable[[str], Any], str]]] = {
    "cached_statements": (int, "is a whole number"),
    "timeout": (float, "must be a number of seconds"),
    "uri": (truth, "must be true or false"),
}
"""The parameters of Python's sqlite3, with their readers and messages."""

_OF_THE_URI: Final = ("cache", "immutable", "mode", "modeof", "nolock", "psow", "vfs")
"""The parameters of SQLite's own URIs: https://www.sqlite.org/uri.html"""


def read_sqlite_url(text: str) -> tuple[URL, dict[str, Any], dict[str, object]]:
    """Reads a SQLite URL.

    Returns:
        The URL without the driver's arguments and the library's own options; the driver's arguments; and the own
        options.

    Raises:
        ConfigurationError: The URL is invalid, has an unknown parameter, or names a database in memory; or this
            Python's SQLite is too old.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigurationError(f"the storage URL does not parse; {_FORM}") from None
    if url.host or url.username or url.password or url.port:
        raise ConfigurationError(f"the storage URL has a host, and SQLite has none; {_FORM}")
    path = url.database or ""
    if not path or ":memory:" in path or url.query.get("mode") == "memory":
        raise ConfigurationError("a SQLite database in memory has no migrated tables; use memory:// or name a file")
    if sqlite3.sqlite_version_info < _OLDEST:
        raise ConfigurationError(
            f"this Python has SQLite {sqlite3.sqlite_version}, and sessions need 3.38 or newer; use another Python"
        )
    if path.startswith("~"):
        raise ConfigurationError(
            "the path in the storage URL begins with ~, which only a shell replaces; write the whole path, as in "
            "sqlite:////home/me/file.db"
        )
    own: dict[str, object] = {name: value for name, value in url.query.items() if name in OPTIONS}
    url = url.difference_update_query(own)
    arguments = _arguments(url)
    is_uri = arguments.pop("uri", False)
    if is_uri != path.startswith("file:"):
        raise ConfigurationError(
            "uri=true in the storage URL needs a path that begins with 'file:', and the other way round, as in "
            "sqlite:///file:/directory/file.db?mode=ro&uri=true"
        )
    if not is_uri and (misplaced := sorted(url.query.keys() & _OF_THE_URI)):
        raise ConfigurationError(
            f"{misplaced[0]} in the storage URL goes with SQLite's own URIs only, as in "
            "sqlite:///file:/directory/file.db?mode=ro&uri=true"
        )
    return url.difference_update_query(arguments), arguments, own


def file_of(url: URL) -> Path:
    """Returns the file of a URL as an absolute path. A relative path starts at the working directory."""
    database = url.database or ""
    path = unquote(urlsplit(database).path) if "uri" in url.query else database
    return Path(path).absolute()


def _arguments(url: URL) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in url.query.items():
        if name not in _READERS and name not in _OF_THE_URI:
            known = ", ".join(sorted({*OPTIONS, *_READERS, *_OF_THE_URI}))
            raise ConfigurationError(f"unknown parameter {name[:80]!a} in the storage URL: known are {known}")
        if not isinstance(value, str):
            raise ConfigurationError(f"the storage URL has the parameter {name} twice")
        if name in _READERS:
            read, wanted = _READERS[name]
            try:
                found[name] = read(value)
            except ValueError:
                raise ConfigurationError(f"{name} in the storage URL {wanted}") from None
    return found

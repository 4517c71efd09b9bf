"""The options of a storage that are ours and no driver's: text in a URL, values in open_storage()."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import inf, nan
from typing import Any, Final

from ....errors import ConfigurationError

_TRUTHS: Final = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        read: From the text of a URL, or from the value given to open_storage(), to the value that is used. Raises
            ValueError with the end of a sentence that begins with the option's name.
        default: The value where neither names the option.
        backends: The databases that have it.
    """

    read: Callable[[object], Any]
    default: Any
    backends: tuple[str, ...] = ("postgresql", "sqlite")


def truth(value: object) -> bool:
    """Reads true or false."""
    known = value if isinstance(value, bool) else _TRUTHS.get(value.lower()) if isinstance(value, str) else None
    if known is None:
        raise ValueError("must be true or false")
    return known


def seconds(value: object) -> float:
    """Reads a duration: a number of seconds, a timedelta, or None (in a URL: none) for no bound."""
    if value is None or value == "none":
        return inf
    given: object = value.total_seconds() if isinstance(value, timedelta) else value
    try:
        read = nan if isinstance(given, bool) else float(given)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        read = nan
    if not 0 < read < inf:
        raise ValueError("must be a number of seconds above 0, or none for no limit")
    return read


STATEMENT_TIMEOUT: Final = "statement_timeout"
"""For how long a statement may be without an answer before it is cancelled, and its connection closed."""

IDLE_TIMEOUT: Final = "idle_timeout"
"""For how long a connection may be idle before it is replaced."""

PREPARED: Final = "prepared_statements"
"""Whether statements may be prepared on a connection, which is not so behind a pooler in transaction mode."""

OPTIONS: Final[Mapping[str, Option]] = {
    PREPARED: Option(truth, default=True, backends=("postgresql",)),
    STATEMENT_TIMEOUT: Option(seconds, default=10.0, backends=("postgresql",)),
    # Less than the shortest after which clouds forget connections: 240 s.
    IDLE_TIMEOUT: Option(seconds, default=200.0, backends=("postgresql",)),
}
"""All of them, by name. Everything else in a URL is a driver's, and everything else of open_storage() the engine's."""


def own_options(backend: str, in_url: Mapping[str, object], given: dict[str, Any]) -> dict[str, Any]:
    """Takes our options out of those given, and returns the value of each one that the database has.

    Args:
        backend: The name of the database.
        in_url: What the URL says.
        given: The arguments of open_storage(), which win over the URL.

    Raises:
        ConfigurationError: A value cannot be read, or the database does not have the option.
    """
    found = {name: option.default for name, option in OPTIONS.items() if backend in option.backends}
    for place, values in (("in the storage URL", in_url), ("of open_storage()", given)):
        for name in [name for name in values if name in OPTIONS]:
            if name not in found:
                raise ConfigurationError(f"{name} {place} is an option of {' and '.join(OPTIONS[name].backends)} only")
            try:
                found[name] = OPTIONS[name].read(values[name])
            except ValueError as error:
                raise ConfigurationError(f"{name} {place} {error}") from None
    for name in OPTIONS:
        given.pop(name, None)
    return found

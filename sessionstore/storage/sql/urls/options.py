"""The library's own options, which come as text in a URL or as arguments of open_storage()."""

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
        read: Converts the text in a URL, or the argument of open_storage(). Raises ValueError with the end of a
            message that begins with the option's name.
        default: The value if the option is given in neither place.
        backends: The databases that have the option.
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
    """Reads a duration in seconds: a number, a timedelta, or None (in a URL: none) for no limit."""
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
"""How many seconds a statement may take. After that, the statement is cancelled and its connection closed."""

IDLE_TIMEOUT: Final = "idle_timeout"
"""How many seconds a connection may be idle. After that, the connection is replaced."""

PREPARED: Final = "prepared_statements"
"""Whether statements are prepared on connections. A pooler in transaction mode does not support it."""

OPTIONS: Final[Mapping[str, Option]] = {
    PREPARED: Option(truth, default=True, backends=("postgresql",)),
    STATEMENT_TIMEOUT: Option(seconds, default=10.0, backends=("postgresql",)),
    # Below the shortest idle timeout of the load balancers of cloud providers: 240 s.
    IDLE_TIMEOUT: Option(seconds, default=200.0, backends=("postgresql",)),
}
"""The options by name. Other parameters in a URL go to the driver, other arguments of open_storage() to the engine."""


def own_options(backend: str, in_url: Mapping[str, object], given: dict[str, Any]) -> dict[str, Any]:
    """Removes the library's own options from the arguments, and returns the value of each option of the database.

    Args:
        backend: The name of the database.
        in_url: The options in the URL.
        given: The arguments of open_storage(), which override the URL.

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

"""Upgrades documents of older shape versions to the current shape version when they are read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

from ..errors import ConfigurationError, CorruptStateError
from ..ids import SessionId
from .jsontext import Refused, named

Upgrade: TypeAlias = Callable[[Any], Any]
"""Makes a document of one shape version from a document of the version before. Both are JSON values.

Returns the new document, or None if it changed the given document in place.
"""

_LAST: Final = 2**31 - 1
"""The largest shape version that the databases can hold."""


class Upgrades:
    """The current shape version of a manager's states or items, and the functions that upgrade earlier versions.

    Attributes:
        version: The current shape version.

    Args:
        noun: What a document is called in error messages.
        version: The current shape version.
        functions: For each earlier version, the function that makes a document of the next one. None: there are none.
        loads: Reads JSON text.
        dumps: Writes JSON text.

    Raises:
        ConfigurationError: The version is no int or less than 1, or a function is missing, is not callable, or is
            for the current version or a later one.
    """

    def __init__(
        self,
        noun: Literal["state", "item"],
        version: int,
        functions: Mapping[int, Upgrade] | None,
        loads: Callable[[str], Any],
        dumps: Callable[[Any], bytes],
    ) -> None:
        argument = "upgrades" if noun == "state" else "item_upgrades"
        self.version = _checked_version(version, f"{noun}_version")
        self._functions = _checked_functions(functions, argument, self.version, f"{noun}_version")
        self._noun = noun
        self._argument = argument
        self._loads = loads
        self._dumps = dumps

    def check(self, found: int, session_id: SessionId, path: str = "$") -> None:
        """Checks that this program knows the shape version of a document.

        Raises:
            CorruptStateError: The document has a later version. Newer code wrote the document.
        """
        if found > self.version:
            raise CorruptStateError(
                f"has shape version {found:,}, and this program reads versions up to {self.version:,} "
                f"({self._noun}_version); read it with the newer code that wrote it",
                path=path,
                session_id=session_id,
                noun="state" if self._noun == "state" else "items",
                found=found,
                known=self.version,
            )

    def current(self, text: str, found: int) -> str:
        """Returns the JSON text of a document in the current shape.

        Args:
            text: The JSON text as it is stored.
            found: The shape version that the text was written under. check() has accepted it.

        Raises:
            Refused: A function failed, or returned a value that JSON cannot hold.
            ValueError: The text is no JSON.
        """
        if found == self.version:
            return text
        if found < 1:
            raise Refused(f"has shape version {found}, which no program writes: versions start at 1")
        document = self._loads(text)
        for version in range(found, self.version):
            document = self._upgraded(document, version)
        refused: Refused | None = None
        try:
            return self._dumps(document).decode()
        except Refused as error:
            refused = error
        reason = f"{refused.reason}, after {self._argument}[{self.version - 1}]"
        raise Refused(reason, refused.steps)

    def _upgraded(self, document: Any, version: int) -> Any:
        try:
            made = self._functions[version](document)
        except Exception as error:  # noqa: BLE001  # a user's function may raise anything, and quote the document
            failed = type(error).__name__
        else:
            if inspect.iscoroutine(made):
                made.close()
            return document if made is None else made
        # Raised outside the except block: the error holds the document, and would become the context.
        raise Refused(f"cannot be upgraded from version {version}: {self._argument}[{version}] raised {failed}")


def _checked_version(version: object, name: str) -> int:
    if not isinstance(version, int) or isinstance(version, bool):
        raise ConfigurationError(f"{name} must be a whole number, not {named(type(version))}")
    if not 1 <= version <= _LAST:
        raise ConfigurationError(f"{name} must be from 1 to {_LAST:,}")
    return int(version)


def _checked_functions(given: object, argument: str, version: int, name: str) -> dict[int, Upgrade]:
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{argument} must be a dict of functions by version, not {named(type(given))}")
    functions: dict[int, Upgrade] = {}
    for key, function in given.items():
        if not isinstance(key, int) or isinstance(key, bool):
            raise ConfigurationError(f"the keys of {argument} must be versions, whole numbers, not {named(type(key))}")
        if not 1 <= key < version:
            raise ConfigurationError(
                f"{argument} has a function for version {key:,}, and {name} is {version:,}; give functions for the "
                f"versions from 1 to {name} - 1 only, or raise {name}"
            )
        if not callable(function) or inspect.iscoroutinefunction(function):
            kind = "a coroutine function" if callable(function) else named(type(function))
            raise ConfigurationError(f"{argument}[{key}] must be a plain function of one document, not {kind}")
        functions[int(key)] = function
    if len(functions) < version - 1:
        missing = next(number for number in range(1, version) if number not in functions)
        raise ConfigurationError(
            f"{argument} has no function for version {missing:,}; {name}={version:,} needs one for each earlier version"
        )
    return functions

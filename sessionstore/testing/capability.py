"""The capabilities that a provider declares, beyond what every provider can do."""

from __future__ import annotations

from collections.abc import Callable
from enum import Flag, auto
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_NEEDS: Final = "sessionstore_needs"


class Capability(Flag):
    """The capabilities of a provider. A provider that is to serve every service has ITEMS, SHAPES and SHARED.

    ``Capability(0)`` has none of the capabilities, and ``~Capability(0)`` has all of them.
    """

    ITEMS = auto()
    """Sessions have items: append_many(), edit_many(), find_many(), list_logs_many(), fork(), and windows of reads."""

    SHAPES = auto()
    """The shape versions of states and items are kept (``state_version``, ``NewItem.version``)."""

    RESHAPING = auto()
    """The provider implements ``sessionstore.storage.reshaping.Reshaping``, for ``sessionstore migrate states``."""

    SHARED = auto()
    """Several providers, also in several processes, use the same sessions, and the sessions outlive each of them."""

    RESTORED = auto()
    """The sessions can be put back to an earlier content, as from a backup. Needs the fixture ``saved``."""


def needs(capability: Capability) -> Callable[[F], F]:
    """Marks a test of the suite as one that needs a capability."""

    def marked(test: F) -> F:
        setattr(test, _NEEDS, capability)
        return test

    return marked


def needed_by(test: object) -> Capability:
    """Returns the capabilities that needs() noted for a test."""
    needed: Capability = getattr(test, _NEEDS, Capability(0))
    return needed

"""Stored: what the parts of a synchronous storage share."""

from __future__ import annotations

from ...storage import StorageProvider
from ..link import Linked


class Stored(Linked):
    """A part of a storage.

    Attributes:
        asynchronous: The provider that does the work.
    """

    asynchronous: StorageProvider

"""Kind: what the synchronous calls of a SessionManager share."""

from __future__ import annotations

from typing import Generic

from ...manager import SessionManager
from ...session import I, T
from ..link import Linked


class Kind(Linked, Generic[T, I]):
    """One kind of session.

    Attributes:
        asynchronous: The manager that does the work.
    """

    asynchronous: SessionManager[T, I]

"""Which revisions this version works with, apart from those that it knows.

The id of a revision says which code works with it. Four digits: the revision only adds to the tables, and the code of
every earlier revision goes on working. A revision that takes something away names the oldest revision whose code
works with it: ``0007_needs_0005``. So do the revisions after it.
"""

from __future__ import annotations

import re
from typing import Final

from .tables import REVISIONS

PREVIOUS: Final = "0001"
"""The revision on which this version works too, except for the calls that need the newest one."""

_ID: Final = re.compile(r"(?P<number>\d{4})(_needs_(?P<needed>\d{4}))?")


def only_adds(revision: str | None) -> bool:
    """Whether a revision is newer than those that this version knows, and removed nothing that this version uses."""
    named = None if revision is None else _ID.fullmatch(revision)
    if named is None:
        return False
    newest = REVISIONS[-1][:4]
    return (named["needed"] or "0000") <= newest < named["number"]

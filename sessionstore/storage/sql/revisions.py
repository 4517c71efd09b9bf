"""Which revisions this version works with, beside those that it knows.

The id of a revision says which code works with it. Four digits: the revision only adds to the tables, and the code of
every earlier revision goes on working. A revision that takes something away names the oldest revision whose code
works with it: ``0007_needs_0005``. So do the revisions after it.
"""

from __future__ import annotations

import re
from typing import Final

from .tables import REVISIONS

_ID: Final = re.compile(r"(?P<number>\d{4})(_needs_(?P<needed>\d{4}))?")


def only_adds(revision: str | None) -> bool:
    """Whether a revision came after those that this version knows, and left what this version works with."""
    named = None if revision is None else _ID.fullmatch(revision)
    if named is None:
        return False
    newest = REVISIONS[-1][:4]
    return (named["needed"] or "0000") <= newest < named["number"]

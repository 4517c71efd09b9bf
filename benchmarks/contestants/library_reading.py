"""This library without what it remembers: it reads before each update, as others do."""

from __future__ import annotations

from sessionstore import Batching

from .library import Library


class LibraryReading(Library):
    """For whom sessions are busy in several processes at once, so that remembering is of no use."""

    note = "The same with `batching=Batching(remember=0)`: every update begins with a read."
    batching = Batching(remember=0)

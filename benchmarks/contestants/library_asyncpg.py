"""This library, through asyncpg."""

from __future__ import annotations

from .library import Library


class LibraryAsyncpg(Library):
    """The same, with the other driver in the URL."""

    driver = "asyncpg"
    note = "The same with `postgresql+asyncpg://`."

    @property
    def url(self) -> str:
        return self.database.asyncpg_url

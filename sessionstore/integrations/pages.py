"""Reads a listing page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Protocol, TypeVar


class Page(Protocol):
    """A page of a listing. ``next`` is the ``after`` of the next page; None: this is the last page."""

    @property
    def next(self) -> Any: ...


P = TypeVar("P", bound=Page)


async def pages(listing: Callable[..., Awaitable[P]]) -> AsyncGenerator[P]:
    """Yields the pages of a listing. Calls the listing with the ``after`` of each page."""
    page = await listing()
    yield page
    while page.next is not None:
        page = await listing(after=page.next)
        yield page

"""Receipts, which keep a lost write from landing later.

A deletion inserts a receipt, and a creation looks for one. Once a receipt is *used up*, its write cannot land any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ....concurrency.retry_window import RetryWindow
from ....errors import UpdateOutcomeUnknownError
from ..statements.compiled import Statements
from ..statements.deleting import CREATED
from .fetching import Fetching


async def use_up(receipts: Collection[str], statements: Statements, fetching: Fetching) -> None:
    """Uses up receipts, so that the writes that would insert them, or look for them, cannot land any more."""
    used = [{"receipt": receipt} for receipt in receipts]
    await fetching.batch(statements.use_up_receipts, used, writing=True, keyed=False)


async def prevent(versions: Iterable[int], statements: Statements, fetching: Fetching) -> None:
    """Keeps lost creations from landing later. A creation that has landed already stays.

    A creation looks for the receipt of its version in its own snapshot. So this function also waits for the end of
    all creations whose snapshots may be from before the receipt.

    Args:
        versions: The first versions of the drafts.
        statements: The statements of the storage.
        fetching: Runs the statements.

    Raises:
        UpdateOutcomeUnknownError: A creation from before the receipts still runs after ten seconds.
    """
    statement = statements.creations_under_way
    if statement is None:
        return
    await use_up([f"{CREATED}{version}" for version in versions], statements, fetching)
    window = RetryWindow()
    before: set[str] | None = None
    while before is None or before:
        if window.over:
            raise UpdateOutcomeUnknownError(
                "the answer of a creation was lost, and the server may still be running it, so the session may or may "
                "not be created; read the session before repeating the call"
            )
        await window.pause()
        running = {row[0] for row in await fetching.rows(statement, {}, writing=True)}
        before = running if before is None else before & running

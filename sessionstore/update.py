"""The update loop: read, apply, write under the version that was read, and again until it lands."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Final

from .errors import SessionConflictError, SessionNotFoundError
from .ids import short_id
from .storage import Apply, Document, Key, StorageProvider, Write

logger = logging.getLogger(__name__)

OPTIMISTIC_ROUNDS: Final = 4
"""How many rounds are lost before the row is locked, so that nobody starves."""

_FIRST_PAUSE: Final = 0.002


class UpdateLoop:
    """Applies functions to documents so that no update is ever lost.

    Optimistic first: nothing is locked while a function runs, and the write only lands on the version that was
    read. Losers pause for a random time that doubles with each round (full jitter), and whoever has lost
    OPTIMISTIC_ROUNDS of them takes the row lock, behind which waiters queue.

    Args:
        storage: Where the documents are.
    """

    def __init__(self, storage: StorageProvider) -> None:
        self._storage = storage

    async def run(self, key: Key, apply: Apply, *, expected_version: int | None = None) -> Document:
        """Applies a function to one document and returns what was written.

        Args:
            key: The document.
            apply: Makes the new text of the document read. Runs once a round; what it raises comes through, and nothing
                is written.
            expected_version: The only version to write on; None: whichever is there.

        Raises:
            SessionNotFoundError: There is no live session.
            SessionConflictError: It is not at ``expected_version``.
        """

        def apply_to_expected(document: Document) -> str:
            actual = document.summary.version
            if expected_version is not None and actual != expected_version:
                raise SessionConflictError(key.session_id, expected=expected_version, actual=actual)
            return apply(document)

        for lost in range(OPTIMISTIC_ROUNDS):
            document = await self._storage.get(key, touch=False)
            if document is None:
                raise SessionNotFoundError(key.session_id)
            state = apply_to_expected(document)
            written = await self._storage.update(Write(key, state, document.summary.version))
            if written is not None:
                return Document(state, written)
            logger.debug("update lost a round", extra={"session_id": short_id(key.session_id), "lost": lost + 1})
            # Random to spread the losers, which needs no secrecy.
            await asyncio.sleep(random.uniform(0, _FIRST_PAUSE * 2**lost))  # noqa: S311
        document = await self._storage.update_locked(key, apply_to_expected)
        if document is None:
            raise SessionNotFoundError(key.session_id)
        return document

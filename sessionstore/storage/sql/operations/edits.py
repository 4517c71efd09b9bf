"""Edits of items. Each lands at most once, also if its answer is lost, and keeps no connection while it waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ....concurrency.retry_window import until_told
from ....errors import StorageUnavailableError, UpdateOutcomeUnknownError
from ... import Edit, Edited, Key
from ...journal import Fate, new_write_id
from ..faults import LOCK_NOT_AVAILABLE
from ..statements.compiled import Statements
from ..statements.fields import key_fields
from ..statements.rows import Locked
from .changes import Changes, Done, Held, fate_of
from .fetching import Fetching
from .reads import Reads
from .rounds import Rounds


class Edits:
    """Edits the items of sessions.

    Args:
        changes: Does an edit in a transaction.
        statements: The statements of the storage.
        fetching: Runs the statements.
        reads: Finds the rows that other transactions hold.
    """

    def __init__(self, changes: Changes, statements: Statements, fetching: Fetching, reads: Reads) -> None:
        self._changes = changes
        self._statements = statements
        self._fetching = fetching
        self._reads = reads

    async def edit_many(self, edits: Sequence[Edit]) -> Sequence[Edited | None]:
        """Implements StorageProvider.edit_many()."""
        return [await self._edit(edit) for edit in edits]

    async def _edit(self, edit: Edit) -> Edited | None:
        rounds = Rounds(self._reads.held)
        editing = _Editing(edit, self._changes, self._statements, self._fetching)
        while True:
            edited = await until_told(editing.attempt)
            if not isinstance(edited, Held):
                return edited
            await rounds.until_free([edit.key], unwritten=True)
            # The row seems free. Every second attempt waits for its lock, in case others always take the row first.
            editing.waiting = not editing.waiting


class _Editing:
    """The attempts of one edit.

    Attributes:
        waiting: Whether the next attempt waits for the lock of the row.
    """

    def __init__(self, edit: Edit, changes: Changes, statements: Statements, fetching: Fetching) -> None:
        self._wanted = edit
        self._changes = changes
        self._statements = statements
        self._fetching = fetching
        self.waiting = False
        self._lost: tuple[Done[Edited], UpdateOutcomeUnknownError] | None = None

    async def attempt(self) -> Edited | None | Held:
        """Does the edit. If the answer of the attempt before was lost, first finds out whether that attempt landed.

        Raises:
            UpdateOutcomeUnknownError: The answer was lost, or the fate of a lost attempt is not known yet. Call again.
        """
        if self._lost is not None:
            sent, error = self._lost
            if await self._has_landed(sent.row, error):
                return sent.result
            # The lost edit cannot land from now on.
            self._wanted, self._lost = replace(self._wanted, id=new_write_id()), None
        sending: dict[Key, Done[Edited]] = {}
        try:
            return await self._changes.edit(self._wanted, sending, waiting=self.waiting)
        except StorageUnavailableError as error:
            if error.code != LOCK_NOT_AVAILABLE:
                raise
            return Held.HELD
        except UpdateOutcomeUnknownError as error:
            # If the key is missing here, the transaction did not reach its commit, and nothing has landed.
            if self._wanted.key in sending:
                self._lost = (sending[self._wanted.key], error)
            raise

    async def _has_landed(self, row: Locked, error: UpdateOutcomeUnknownError) -> bool:
        """Finds out whether the lost edit has landed. If it has not, it cannot land from now on.

        Args:
            row: The row before the edit.
            error: The error of the edit.

        Raises:
            UpdateOutcomeUnknownError: The journal cannot tell, or another transaction holds the row, perhaps the
                transaction of the lost edit.
        """
        if self._statements.one_writer:
            raise error
        edit = self._wanted
        fields = [key_fields(edit.key) | {"append_id": edit.id}]
        await self._fetching.batch(self._statements.use_up_appends, fields, writing=True)
        found = await self._fetching.batch(self._statements.settled_appends, fields, writing=False)
        for fate in (fate_of(row, edit.id, it) for it in found):
            if fate in (Fate.LANDED, Fate.NOT_LANDED):
                return fate is Fate.LANDED
        raise error

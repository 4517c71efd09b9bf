"""The call of SessionManager that writes older states and items in their current shape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import monotonic
from typing import Final

from .. import arguments, config
from ..batching import divided
from ..errors import ConfigurationError, InvalidStateError, SessionStoreError, UpdateOutcomeUnknownError
from ..session import I, T
from ..storage import Document, Key, Write
from ..storage.reshaping import OutdatedItem, Reshaping, Rewrite
from .kind import Kind

DEFAULT_BATCH_SIZE: Final = 100
_ROUNDS: Final = 8
"""How often a state is read and written anew after another caller wrote it or held its row."""
_FIRST_PAUSE: Final = 0.01


@dataclass(frozen=True, slots=True)
class UpgradeReport:
    """The progress or the outcome of upgrade_states().

    Attributes:
        states: States that were written in the current shape.
        items: Items that were written in the current shape. May be too few if a connection was lost.
        misfits: States and items that could not be upgraded. They stay as they are.
        held: States that other transactions held or kept writing. Their next update, or another run, upgrades them.
        complete: Whether all states and items were looked at; False: the time was up.
        errors: Why the misfits of the newest batch could not be upgraded. The report at the end has the errors of all
            batches, at most 100.
    """

    states: int = 0
    items: int = 0
    misfits: int = 0
    held: int = 0
    complete: bool = False
    errors: Sequence[SessionStoreError] = field(default=())


class Upgrading(Kind[T, I]):
    """Writes older states and items of one kind in their current shape."""

    async def upgrade_states(
        self,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        time_budget: timedelta | None = None,
        on_batch: Callable[[UpgradeReport], None] | None = None,
    ) -> UpgradeReport:
        """Writes all older states and items of this namespace in their current shape, in batches.

        Needed only before a function is removed from ``upgrades``, or to keep reads short: without it, an older state
        is upgraded at each read, and is written in the new shape by its next update. May be run again and by several
        processes at once, beside the service. A run that is stopped keeps the batches that it has written.

        A rewritten state counts as a write: its version grows by one, so an ``expected_version`` from before does not
        match. It is no access: the expiry and all times stay. A state that another caller writes at the same time is
        read anew, so no update is lost.

        Args:
            batch_size: How many states or items to write at a time.
            time_budget: Begin no further batch after this time; None: no limit.
            on_batch: Is called after each batch, with what the run has done so far.

        Raises:
            ConfigurationError: An argument is invalid, or the storage cannot rewrite states.
            StorageError: The storage failed. Call again to go on.
        """
        storage: object = self._storage
        if not isinstance(storage, Reshaping):
            raise ConfigurationError(
                f"a {type(storage).__name__} cannot rewrite states; implement storage.reshaping.Reshaping in its class"
            )
        size = arguments.count(batch_size, "batch_size", least=1)
        budget = config.check_duration(time_budget, "time_budget")
        end = None if budget is None else monotonic() + budget.total_seconds()
        report = UpgradeReport()
        errors: list[SessionStoreError] = []
        async for report in self._batches(storage, size):
            errors += report.errors[: 100 - len(errors)]
            if on_batch is not None:
                on_batch(report)
            if end is not None and monotonic() >= end:
                return replace(report, errors=tuple(errors))
        return replace(report, complete=True, errors=tuple(errors))

    async def _batches(self, storage: Reshaping, size: int) -> AsyncIterator[UpgradeReport]:
        report = UpgradeReport()
        after: Key | None = None
        while documents := await storage.outdated(self._namespace, self._codec.version, limit=size, after=after):
            after = documents[-1].summary.key
            report = await self._upgrade(storage, documents, replace(report, errors=()))
            yield report
        last: OutdatedItem | None = None
        version = self._item_codec.version
        while items := await storage.outdated_items(self._namespace, version, limit=size, after=last):
            last = items[-1]
            report = await self._upgrade_items(storage, items, replace(report, errors=()))
            yield report

    async def _upgrade(self, storage: Reshaping, documents: Sequence[Document], report: UpgradeReport) -> UpgradeReport:
        """Rewrites the states of documents. A state that another caller writes meanwhile is read and rewritten anew."""
        errors: list[SessionStoreError] = []
        for round_ in range(_ROUNDS):
            writes: list[Write] = []
            for document in documents:
                try:
                    writes.append(self._rewritten(document))
                except InvalidStateError as error:
                    errors.append(error)
            landed = 0
            lost: dict[Key, str] = {}
            for part in divided(writes, _length):
                try:
                    done = await storage.rewrite_many(part)
                except UpdateOutcomeUnknownError:
                    done = [False] * len(part)  # the next read shows which states landed
                landed += sum(done)
                lost |= {write.read.key: write.id for write, it in zip(part, done, strict=True) if not it}
            report = replace(report, states=report.states + landed)
            if not lost:
                documents = ()
                break
            await asyncio.sleep(_FIRST_PAUSE * 2**round_)
            found = await self._storage.get_many(list(lost), touch=False)
            there = [it for it in found if it is not None]
            late = sum(it.summary.last_write == lost[it.summary.key] for it in there)
            report = replace(report, states=report.states + late)
            documents = [it for it in there if it.state_version != self._codec.version]
        return replace(
            report, held=report.held + len(documents), misfits=report.misfits + len(errors), errors=tuple(errors)
        )

    async def _upgrade_items(
        self, storage: Reshaping, items: Sequence[OutdatedItem], report: UpgradeReport
    ) -> UpgradeReport:
        """Rewrites items. An item that another caller replaces in between stays as that caller wrote it."""
        errors: list[SessionStoreError] = []
        rewrites: list[Rewrite] = []
        for found in items:
            item, session_id = found.item, found.key.session_id
            try:
                value = self._item_codec.decode(item.text, item.position, session_id, item.version)
                text = self._item_codec.encode(value, item.position, session_id)
            except InvalidStateError as error:
                errors.append(error)
            else:
                rewrites.append(Rewrite(found, text, self._item_codec.version))
        landed = 0
        for part in divided(rewrites, lambda it: len(it.text) + len(it.found.item.text)):
            landed += sum(await _sent(storage, part))
        misfits = report.misfits + len(errors)
        return replace(report, items=report.items + landed, misfits=misfits, errors=tuple(errors))

    def _rewritten(self, document: Document) -> Write:
        session_id = document.summary.key.session_id
        state = self._codec.encode(self._state(document), session_id)
        return Write(document.summary, state, state_version=self._codec.version)


def _length(write: Write) -> int:
    return len(write.state)


async def _sent(storage: Reshaping, rewrites: Sequence[Rewrite]) -> Sequence[bool]:
    for round_ in range(_ROUNDS - 1):
        try:
            return await storage.rewrite_items(rewrites)
        except UpdateOutcomeUnknownError:  # sent again: a rewritten item no longer matches
            await asyncio.sleep(_FIRST_PAUSE * 2**round_)
    return await storage.rewrite_items(rewrites)

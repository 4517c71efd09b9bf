"""`sessionstore reap`: deletes expired sessions."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated

import typer

from ..reaper import DEFAULT_BATCH_SIZE, Reaper, ReapReport
from ..storage import StorageProvider
from .console import print_json, progress, somebody_watches
from .durations import parse_duration
from .options import AsJson, DatabaseUrl, Schema, opened

# A larger batch would hold its locks for too long.
_MAX_BATCH_SIZE = 1_000_000


def reap(
    batch_size: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, max=_MAX_BATCH_SIZE, help="Rows per batch. More is faster, and holds locks for longer."
        ),
    ] = DEFAULT_BATCH_SIZE,
    max_seconds: Annotated[
        timedelta | None,
        typer.Option(
            metavar="S",
            parser=parse_duration,
            help="Begin no further batch after this time. At least one batch is done.  [default: no limit]",
        ),
    ] = None,
    grace: Annotated[
        timedelta | None,
        typer.Option(
            metavar="D",
            parser=parse_duration,
            help="Keep rows for this long after they expired: 90s, 15m, 12h, 7d, 1h30m; a plain number is seconds. "
            "No call can reach these rows.  [default: 0s]",
        ),
    ] = None,
    pace: Annotated[
        float,
        typer.Option(
            metavar="P",
            help="Pause after each batch, in durations of the batch: 1 leaves the database half of the time to others.",
        ),
    ] = 0.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the expired sessions.")] = False,
    as_json: AsJson = False,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
) -> None:
    """Deletes expired sessions in small batches.

    Any number of reapers may run at once, beside the service.

    Rows that remain when the time is up are no failure: the next run deletes them.
    """
    storage = opened(database_url, schema)
    reaper = Reaper(storage, batch_size=batch_size, grace=grace or timedelta(0), pace=pace)
    report = asyncio.run(_reap(storage, reaper, grace or timedelta(0), dry_run, max_seconds))
    if as_json:
        print_json(
            {
                "deleted": report.deleted,
                "batches": report.batches,
                "seconds": round(report.duration.total_seconds(), 3),
                "remaining": report.remaining,
                "dry_run": dry_run,
            }
        )
    elif dry_run:
        typer.echo(f"{report.remaining:,} expired sessions would be deleted")
    else:
        typer.echo(
            f"deleted {report.deleted:,} expired sessions in {report.duration.total_seconds():.1f} s "
            f"(batches: {report.batches:,}); {report.remaining:,} remain"
        )


async def _reap(
    storage: StorageProvider, reaper: Reaper, grace: timedelta, dry_run: bool, time_budget: timedelta | None
) -> ReapReport:
    async with storage:
        if dry_run or not somebody_watches():
            return await reaper.run_once(dry_run, time_budget)
        with progress("reaping", await storage.count_expired(grace=grace), "rows") as advance:
            return await reaper.run_once(time_budget=time_budget, on_batch=lambda batch: advance(batch.deleted))

"""`sessionstore demo`: replays conversations, and shows what came of them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from .. import demo as playing
from ..demo.expiry import LONG_AGO
from ..demo.replaying import DEFAULT_WORKERS
from ..demo.service import TTL
from ..storage import StorageProvider
from .console import fail, print_facts, progress, say
from .durations import shown_duration
from .options import Schema, opened

_SHOWN_FAULTS = 10


def demo(
    dialogues: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIALOGUES.jsonl",
            exists=True,
            dir_okay=False,
            readable=True,
            show_default=False,
            help="Conversations in the format of the Schema-Guided Dialogue dataset, one a line.  [default: those that "
            "come with the package]",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="How many turns are taken at once.")
    ] = DEFAULT_WORKERS,
    database_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            show_default=False,
            help="A migrated database to replay into; what others keep there is left alone.  [default: a SQLite file "
            "that is made for it and deleted afterwards]",
        ),
    ] = None,
    schema: Schema = None,
) -> None:
    """Replays conversations and checks every one.

    Workers take the turns of all conversations at once, those of each conversation in their order. A conversation is
    two sessions, one for what was said and one for its orchestration, and up to four updates at once write a turn down.
    At the end all of them expire and are reaped.

    Ends with status 1 if a single update is lost or a session is not as its transcript.
    """
    conversations = playing.load(playing.shipped() if dialogues is None else dialogues)
    if database_url is not None:
        ok = asyncio.run(_play(conversations, workers, database_url, schema))
    else:
        with _embedded() as url:
            ok = asyncio.run(_play(conversations, workers, url, None))
    if not ok:
        fail("updates were lost, or sessions differ from their transcripts; see the lines above")


@contextmanager
def _embedded() -> Generator[str]:
    # Here, because it loads Alembic, which no other command than this and `migrate` needs.
    from .. import migrate

    with tempfile.TemporaryDirectory(prefix="sessionstore-demo-") as directory:
        url = f"sqlite+aiosqlite:///{Path(directory) / 'demo.db'}"
        migrate.upgrade(url)
        say("the sessions are kept in a temporary SQLite file; --database-url takes another database")
        yield url


async def _play(conversations: Sequence[playing.Dialogue], workers: int, database_url: str, schema: str | None) -> bool:
    clock = playing.DemoClock()
    async with opened(database_url, schema, clock=clock) as storage:
        total = sum(len(conversation.turns) for conversation in conversations)
        with progress("replaying", total, "turns") as advance:
            report = await playing.replay(conversations, storage, workers=workers, on_turn=advance)
        _print_report(report, workers)
        return await _expire(storage, clock, report) and report.ok


def _print_report(report: playing.Report, workers: int) -> None:
    for comparison in report.differing[:_SHOWN_FAULTS]:
        say(f"session {comparison.dialogue_id}: {'; '.join(comparison.faults)}")
    print_facts(
        [
            ("sessions", report.sessions),
            ("turns", report.turns),
            ("workers", workers),
            ("seconds", f"{report.seconds:.2f}"),
            ("turns/s", round(report.turns / report.seconds)),
            ("updates", report.updates),
            ("written in statements", report.statements),
            ("conflicts resolved", report.conflicts),
            ("lost updates", report.lost),
            ("sessions that differ from their transcript", len(report.differing)),
        ]
    )


async def _expire(storage: StorageProvider, clock: playing.DemoClock, report: playing.Report) -> bool:
    expiry = await playing.expire(storage, clock, report.namespaces)
    typer.echo()
    typer.echo(
        f"Then the demo moved the last access of all {expiry.sessions:,} rows (two a conversation) to "
        f"{LONG_AGO:%Y-%m-%d}, through the clock that it gave to the storage. Their time to live is "
        f"{shown_duration(TTL)}."
    )
    print_facts(
        [
            ("found by get once expired", expiry.found),
            ("rows deleted by the reaper", expiry.reaped),
            ("rows left", expiry.left),
        ]
    )
    return expiry.ok

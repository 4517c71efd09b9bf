"""`sessionstore migrate states`: writes older states and items of a service's manager in their current shape."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
from datetime import timedelta
from typing import Annotated, Any

import typer

from ..calls.reshaping import DEFAULT_BATCH_SIZE, UpgradeReport
from ..codec.jsontext import named
from ..errors import ConfigurationError
from ..manager import SessionManager
from ..storage.memory import MemoryStorageProvider
from ..sync.manager import SessionManager as SyncSessionManager
from .console import print_json, progress, say
from .durations import parse_duration
from .faults import WORK_FAILED
from .options import AsJson

_MAX_BATCH_SIZE = 10_000


def states(
    manager: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:MANAGER",
            show_default=False,
            help="Where the service keeps its SessionManager, or a function without arguments that returns it. The "
            "module is also looked for in this directory.",
        ),
    ],
    batch_size: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=_MAX_BATCH_SIZE, help="How many states or items to write at a time."),
    ] = DEFAULT_BATCH_SIZE,
    max_seconds: Annotated[
        timedelta | None,
        typer.Option(
            metavar="S", parser=parse_duration, help="Begin no further batch after this time.  [default: no limit]"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Writes older states and items in their current shape.

    Works in batches, beside the service. Run it again to go on after a stop. The database is the one of the manager.

    Ends with status 1 if something could not be upgraded, or the time was up.
    """
    found = _found(manager)
    report = asyncio.run(_upgraded(found, batch_size, max_seconds))
    if as_json:
        counts = {name: getattr(report, name) for name in ("states", "items", "misfits", "held", "complete")}
        print_json(counts)
    else:
        typer.echo(f"rewrote {report.states:,} states and {report.items:,} items")
    if report.misfits:
        say(f"{report.misfits:,} states and items could not be upgraded; mend the upgrades, and run this again")
    if report.held:
        say(f"{report.held:,} states were held or written by others all the time; run this again")
    if not report.complete:
        say("the time was up; run this again to go on")
    if report.misfits or report.held or not report.complete:
        raise typer.Exit(WORK_FAILED)


async def _upgraded(found: Any, batch_size: int, time_budget: timedelta | None) -> UpgradeReport:
    made = found if isinstance(found, SessionManager | SyncSessionManager) else found()
    manager = await made if inspect.isawaitable(made) else made
    if isinstance(manager, SyncSessionManager):
        manager = manager.asynchronous
    if not isinstance(manager, SessionManager):
        raise ConfigurationError(f"MODULE:MANAGER must lead to a SessionManager, not to {named(type(manager))}")
    storage = manager._storage  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if isinstance(storage, MemoryStorageProvider):
        raise ConfigurationError("the manager keeps its sessions in the memory of its process; nothing needs a rewrite")
    namespace = manager._namespace  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    async with storage:
        live = sum(count.live for count in await storage.stats(namespace))
        # The number of older states is not known, so the bar may end early: the database passes over current states.
        with progress("rewriting", live, "states") as advance:

            def show(report: UpgradeReport) -> None:
                advance(report.states + report.items + report.misfits)
                for error in report.errors:
                    say(str(error))

            return await manager.upgrade_states(batch_size=batch_size, time_budget=time_budget, on_batch=show)


def _found(place: str) -> Any:
    """Returns the manager, or the function that makes it.

    Raises:
        ConfigurationError: The module or the name does not exist, or the name is neither a manager nor a function.
    """
    module, _, path = place.partition(":")
    if not module or not path:
        raise ConfigurationError(f"{place!a:.200} is not of the form MODULE:MANAGER, such as service.chats:manager")
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  # a path for the interpreter
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module exists, but a module that it imports does not
        found = None
    if found is None:
        raise ConfigurationError(
            f"there is no module {module!a:.200}, neither installed nor in this directory; check MODULE:MANAGER"
        )
    for name in path.split("."):
        if not hasattr(found, name):
            raise ConfigurationError(f"the module {module!a:.200} has no {path!a:.200}; check MODULE:MANAGER")
        found = getattr(found, name)
    if not isinstance(found, SessionManager | SyncSessionManager) and not callable(found):
        raise ConfigurationError(
            f"{place!a:.200} is {named(type(found))}, and neither a SessionManager nor a function that returns one"
        )
    return found

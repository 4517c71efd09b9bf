"""`sessionstore migrate check`: whether the tables and the privileges are what this version needs."""

from __future__ import annotations

from typing import Annotated, cast

import typer

from ..errors import SchemaError, StorageError
from ..storage import Use
from .console import print_json
from .faults import WORK_FAILED
from .options import AsJson, DatabaseUrl, Schema


def check(
    use: Annotated[
        str, typer.Option("--use", metavar="USE", help="What the role is for: service, reaper or readonly.")
    ] = "service",
    as_json: AsJson = False,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
) -> None:
    """Compares tables and privileges with what this version needs.

    Prints ok if nothing is missing, else ends with status 1. Needs only the role of the service, and changes nothing.
    """
    from .. import migrate

    try:
        seen = migrate.compare(database_url, schema=schema, use=cast("Use", use))
    except (StorageError, SchemaError) as error:
        seen = migrate.Comparison.failed(error)
        if not as_json:
            raise
    if as_json:
        facts = {"ok": seen.ok, "found": seen.found, "needed": seen.needed, "command": seen.command}
        print_json({**facts, "problems": seen.problems})
        if not seen.ok:
            raise typer.Exit(WORK_FAILED)
    elif seen.error is not None:
        raise seen.error
    else:
        typer.echo("ok")

"""`sessionstore migrate grants`: prints the privileges that the roles of a deployment need."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import DatabaseUrl, Schema


def _role(option: str, what: str) -> object:
    return typer.Option(option, metavar="ROLE", help=what, show_default=False)


def grants(
    service: Annotated[str | None, _role("--service", "The role of the service: reads and writes sessions.")] = None,
    reaper: Annotated[
        str | None, _role("--reaper", "The role of the reaper: deletes expired sessions, and reads no state.")
    ] = None,
    readonly: Annotated[
        str | None, _role("--readonly", "The role of those who only read: list, show, stats, backups.")
    ] = None,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
) -> None:
    """Prints the GRANT statements for roles that exist.

    Run the statements after each upgrade, as the owner of the tables. This command connects to no database.
    """
    from .. import migrate

    typer.echo(migrate.grants(database_url, schema=schema, service=service, reaper=reaper, readonly=readonly), nl=False)

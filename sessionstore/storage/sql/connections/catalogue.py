"""The statements that read the database's catalogue: the tables, their revision, and the privileges of a role."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String, Table, select

from ..dialects.dialect import Backend
from ..drivers.prepared import Prepared
from ..structure import parts
from ..tables import VERSION_TABLE


class Catalogue:
    """The statements, which all storages of one kind and schema share.

    Args:
        backend: The database.
        schema: The PostgreSQL schema of the tables.

    Attributes:
        revision: Reads the revision.
        relations: Lists tables, with their columns, and with the rules and policies that may hide rows.
        parts: Lists columns, indexes and triggers.
        lacking: Lists the privileges that a role lacks; None: the database has no roles.
    """

    def __init__(self, backend: Backend, schema: str | None) -> None:
        version = Table(VERSION_TABLE, MetaData(schema=schema), Column("version_num", String))
        self.revision = Prepared(lambda: select(version.c.version_num), backend.driver)
        self.relations = Prepared(lambda: backend.relations(schema), backend.driver)
        self.parts = Prepared(lambda: parts(schema), backend.driver)
        lacking = backend.lacking(schema)
        self.lacking = None if lacking is None else Prepared(lambda: lacking, backend.driver)

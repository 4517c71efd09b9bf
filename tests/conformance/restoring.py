"""Puts the sessions of a database back to an earlier content."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import psycopg
from sqlalchemy.engine import make_url

from sessionstore.testing.conformance import Restore
from sessionstore.testing.postgres import dsn


def saved_file(url: str) -> Restore:
    """Notes the sessions of a SQLite file."""
    name = str(make_url(url).database)

    def run(*statements: str) -> None:
        with closing(sqlite3.connect(name)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    run("DROP TABLE IF EXISTS saved", "CREATE TABLE saved AS SELECT * FROM sessions")
    return lambda: run("DELETE FROM sessions", "INSERT INTO sessions SELECT * FROM saved", "DROP TABLE saved")


def saved_database(url: str) -> Restore:
    """Notes the sessions of a PostgreSQL database, without a table of its own, which a service may not make."""
    # An option of the library is none of libpq's.
    plain = make_url(url).difference_update_query(["prepared_statements"])
    conninfo = dsn(plain.render_as_string(hide_password=False))
    with psycopg.connect(conninfo) as connection:
        rows = "SELECT coalesce(json_agg(s), '[]')::text FROM sessionstore.sessions AS s"
        ((content,),) = connection.execute(rows).fetchall()

    def restore() -> None:
        with psycopg.connect(conninfo) as connection:
            connection.execute("DELETE FROM sessionstore.sessions")
            put_back = "SELECT * FROM json_populate_recordset(NULL::sessionstore.sessions, %s::json)"
            connection.execute(f"INSERT INTO sessionstore.sessions {put_back}".encode(), [content])

    return restore

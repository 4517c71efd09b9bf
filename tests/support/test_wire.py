"""The counter itself is held to what two drivers are known to send."""

from __future__ import annotations

import asyncpg
import psycopg

from sessionstore.testing.postgres import PostgresServer

from .wire import WireCounter


async def test_a_transaction_of_psycopg_is_three_round_trips(server: PostgresServer) -> None:
    async with WireCounter(server.url) as wire:
        async with await psycopg.AsyncConnection.connect(wire.url.replace("+psycopg", "")) as connection:
            with wire.counting() as seen:
                await connection.execute("SELECT %s::int", [1])
                await connection.commit()
            assert (seen.round_trips, seen.statements, seen.settings) == (3, ["BEGIN", "SELECT $1::int", "COMMIT"], [])
            await connection.set_autocommit(True)
            with wire.counting() as seen:
                await connection.execute("SET TIME ZONE 'UTC'")
            assert (seen.round_trips, seen.statements, seen.settings) == (1, [], ["SET TIME ZONE 'UTC'"])
        with wire.counting() as after:
            pass
    assert (after.round_trips, after.statements, after.connections) == (0, [], 0)


async def test_a_statement_of_asyncpg_is_prepared_once(server: PostgresServer) -> None:
    async with WireCounter(server.url) as wire:
        with wire.counting() as seen:
            connection = await asyncpg.connect(wire.url.replace("+psycopg", ""))
            prepared = await connection.prepare("SELECT $1::int")
            for n in range(3):
                assert await prepared.fetchval(n) == n
            await connection.close()
        assert seen.connections == 1
        assert (seen.prepared, seen.statements) == (["SELECT $1::int"], ["SELECT $1::int"] * 3)
        assert seen.round_trips == 4

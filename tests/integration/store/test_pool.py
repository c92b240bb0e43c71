"""Connections that are fit to be used."""

from __future__ import annotations

import psycopg

from shared.store.pool import Connection, open_pool

TERMINATE = "SELECT pg_terminate_backend(%s, 10000)"
LAST_QUERY = "SELECT query FROM pg_stat_activity WHERE pid = %s"


async def test_a_connection_that_the_server_has_ended_is_not_given_out(database_url: str) -> None:
    async with open_pool(database_url, name="test", size=1, checked=True) as pool:
        async with pool.connection() as conn:
            ended = conn.info.backend_pid
        with psycopg.connect(database_url, autocommit=True) as other:
            assert other.execute(TERMINATE, [ended]).fetchall() == [(True,)]

        async with pool.connection() as conn:
            assert conn.info.backend_pid != ended
            assert await _answer(conn) == 1


async def test_a_sound_connection_is_given_out_without_asking_the_server(database_url: str) -> None:
    async with open_pool(database_url, name="test", size=1, checked=True) as pool:
        async with pool.connection() as conn:
            await _answer(conn)

        async with pool.connection() as conn:
            with psycopg.connect(database_url) as other:
                last = other.execute(LAST_QUERY, [conn.info.backend_pid]).fetchall()
            assert last == [("SELECT 1",)]


async def _answer(conn: Connection) -> int:
    cursor = await conn.execute("SELECT 1")
    [(answer,)] = await cursor.fetchall()
    return answer

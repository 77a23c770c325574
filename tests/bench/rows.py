"""How many rows each of our tables holds, and how many bytes with its indexes and what is stored beside it."""

from __future__ import annotations

import asyncpg

TABLES = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname in ('public', 'internal') order by n.nspname desc, c.relname
"""


async def count_rows(pool: asyncpg.Pool) -> dict[str, int]:
    """Rows by table; those of the schema internal under their full name."""
    return {name: await pool.fetchval(f"select count(*) from {table}") for name, table in await _tables(pool)}


async def count_bytes(pool: asyncpg.Pool) -> dict[str, int]:
    """Bytes on disk by table."""
    size = "select pg_total_relation_size($1::regclass)"
    return {name: await pool.fetchval(size, table) for name, table in await _tables(pool)}


async def _tables(pool: asyncpg.Pool) -> list[tuple[str, str]]:
    found = await pool.fetch(TABLES)
    return [(table if schema == "public" else f"{schema}.{table}", f'"{schema}"."{table}"') for schema, table in found]

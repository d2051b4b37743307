"""Describe queries, by the server's description of their results, and mask columns on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.queries import Queries, hmac_blocks
from airflow_provider_sync.databases.postgresql.columns import column_from
from airflow_provider_sync.databases.postgresql.digests import settings
from airflow_provider_sync.databases.postgresql.errors import translated
from airflow_provider_sync.databases.postgresql.session import driver_of, run
from airflow_provider_sync.databases.postgresql.slice_sql import slice_sql
from airflow_provider_sync.databases.postgresql.text import canonical_text, logical_type
from airflow_provider_sync.databases.schema import Column
from airflow_provider_sync.databases.sql_text import Syntax
from airflow_provider_sync.databases.table_slice import TableSlice

_NUMERIC = 1700
_MODIFIER_OFFSET = 4
"""Number that PostgreSQL adds to lengths and precisions in a type modifier."""

# Follow a domain to its base type, as for a table's columns.
_TYPES = """
WITH RECURSIVE result(type, typmod, place) AS (
    SELECT * FROM unnest('{{{types}}}'::oid[], '{{{typmods}}}'::int[]) WITH ORDINALITY
), base(place, type, typmod) AS (
    SELECT place, type, typmod FROM result
    UNION ALL
    SELECT b.place, t.typbasetype, CASE WHEN b.typmod >= 0 THEN b.typmod ELSE t.typtypmod END
    FROM base b JOIN pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT format_type(t.oid, b.typmod), declared.typtype = 'd', t.typtype::text,
       CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname::text ELSE '' END,
       b.typmod, declared.typcollation <> 0
FROM result r
JOIN pg_type declared ON declared.oid = r.type
JOIN base b ON b.place = r.place
JOIN pg_type t ON t.oid = b.type AND t.typtype <> 'd'
ORDER BY r.place
"""

# The server determines the collation of an expression without reading a row.
_COLLATIONS = """
SELECT CASE WHEN l.collname <> 'default' THEN quote_ident(n.nspname) || '.' || quote_ident(l.collname) END,
       coalesce(l.collisdeterministic, true)
FROM (VALUES (1)) AS one(row) LEFT JOIN (SELECT * FROM ({query}
) AS q LIMIT 0) AS t ON true
CROSS JOIN LATERAL unnest(ARRAY[{collations}]) WITH ORDINALITY AS c(name, place)
LEFT JOIN pg_collation l ON l.oid = to_regcollation(c.name)
LEFT JOIN pg_namespace n ON n.oid = l.collnamespace
ORDER BY c.place
"""

_BY_INDEX = {"enable_seqscan": "off", "max_parallel_workers_per_gather": "0"}
"""Makes the planner use any suitable index, however small the table is."""


class PostgreSQLQueries(Queries):
    """Describes queries and masks columns. Queries run in a read-only transaction, in which functions cannot write."""

    syntax = Syntax(dollar_quotes=True, nested_comments=True)

    def describe(self, connection: Connection, query: str) -> tuple[Column, ...]:
        """Describe the columns by their types, modifiers and collations."""
        with translated():
            found = _result(connection, f"SELECT * FROM ({query}\n) AS t LIMIT 0")
            types, typmods = (",".join(str(entry[place]) for entry in found) for place in (1, 2))
            described = run(connection, _TYPES.format(types=types, typmods=typmods))
            names = [name for name, _, _ in found]
            collatable = [name for name, row in zip(names, described, strict=True) if row[-1] and names.count(name) == 1]
            collations = self._collations(connection, query, collatable)
        return tuple(
            column_from(
                name,
                sql_type,
                is_domain,
                category,
                base,
                typmod,
                not_null=False,
                generated=False,
                has_default=False,
                collation=collations[name][0] if name in collations else None,
                deterministic=name not in collations or collations[name][1],
                insert_only=False,
            )
            for name, (sql_type, is_domain, category, base, typmod, _) in zip(names, described, strict=True)
        )

    def _collations(self, connection: Connection, query: str, names: Sequence[str]) -> dict[str, tuple[str | None, bool]]:
        if not names:
            return {}
        quoted = [self.database.undoubled(self.quote(name)) for name in names]
        asked = ", ".join(f"pg_collation_for(t.{name})" for name in quoted)
        return dict(zip(names, run(connection, _COLLATIONS.format(query=query, collations=asked)), strict=True))

    def finds_ranges(self, connection: Connection, table_slice: TableSlice) -> bool:
        """Whether the plan, with sequential scans disabled, reads every table by an index condition."""
        statement = slice_sql(self.database, connection, table_slice).rows()
        with translated(), settings(connection, _BY_INDEX):
            ((plans,),) = run(connection, f"EXPLAIN (FORMAT JSON) {statement}")
        # A bitmap heap scan reads only rows that the index scan below it has found.
        return all("Index Cond" in node or not _reads(node) for node in _nodes(plans[0]["Plan"]))

    def hashed(self, column: Column, secret: bytes) -> str:
        """Compute the HMAC with two calls of the server's SHA-256."""
        inner, outer = hmac_blocks(secret)
        text = f"({canonical_text(column, logical_type(column), self.name(column))})::text"
        hashed = rf"sha256('\x{inner}'::bytea || convert_to({text}, 'UTF8'))"
        return rf"encode(sha256('\x{outer}'::bytea || {hashed}), 'hex')"

    def year(self, column: Column) -> str:
        """Extract the year of a date or timestamp, NULL for infinity; sessions are in UTC."""
        name = self.name(column)
        return f"CASE WHEN isfinite({name}) THEN EXTRACT(YEAR FROM {name})::integer END"

    def redacted(self, column: Column) -> str:
        """See :meth:`.Queries.redacted`; also casts the text to its type."""
        return f"({super().redacted(column)})::text"


def _result(connection: Connection, statement: str) -> list[tuple[str, int, int]]:
    """Return name, type and type modifier of each column of a statement's result."""
    with driver_of(connection).cursor() as cursor:
        cursor.execute(statement)
        result = getattr(cursor, "pgresult", None)
        return [
            (column.name, column.type_code, result.fmod(place) if result is not None else _typmod(column))
            for place, column in enumerate(cursor.description)
        ]


def _typmod(column: Any) -> int:
    """Recompute the type modifier from psycopg2's attributes; they lack the digits of a second, which are taken as six."""
    if column.type_code == _NUMERIC:
        return -1 if column.precision in (None, 65535) else (column.precision << 16 | column.scale) + _MODIFIER_OFFSET
    is_sized = column.internal_size is not None and column.internal_size > 0 and column.type_code in _SIZED
    return column.internal_size + _MODIFIER_OFFSET if is_sized else -1


_SIZED = frozenset({1042, 1043, 1560, 1562})
"""Types whose modifier psycopg2 returns as their size: character, character varying, bit and bit varying."""


def _reads(node: dict[str, Any]) -> bool:
    return "Scan" in node["Node Type"] and node["Node Type"] not in ("Bitmap Heap Scan", "Subquery Scan", "Values Scan")


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)

"""Describe columns by PostgreSQL's catalogs, as :class:`Column`."""

from __future__ import annotations

from typing import Any

from airflow_provider_sync.databases.schema import Column, Kind

_KINDS = {
    "bool": Kind.BOOLEAN,
    "int2": Kind.INTEGER,
    "int4": Kind.INTEGER,
    "int8": Kind.INTEGER,
    "oid": Kind.INTEGER,
    "numeric": Kind.DECIMAL,
    "money": Kind.DECIMAL,
    "float4": Kind.FLOAT,
    "float8": Kind.DOUBLE,
    "bpchar": Kind.CHAR,
    "varchar": Kind.TEXT,
    "text": Kind.TEXT,
    "name": Kind.TEXT,
    "json": Kind.JSON,
    "jsonb": Kind.JSON,
    "uuid": Kind.UUID,
    "date": Kind.DATE,
    "time": Kind.TIME,
    "timestamp": Kind.DATETIME,
    "timestamptz": Kind.TIMESTAMP,
    "bytea": Kind.BINARY,
    "bit": Kind.BIT,
}

_MAX_BITS = 64
"""Longest bit string that fits the integer of version 1; longer ones are text."""

_CUT = {"name": 63, "char": 1}
"""Types whose values the server truncates silently, with their length in bytes."""

# Follow a domain to its base type; the first length or precision on the way applies.
COLUMNS = """
WITH RECURSIVE base(attrelid, attnum, type, typmod, required) AS (
    SELECT attrelid, attnum, atttypid, atttypmod, attnotnull FROM pg_attribute
    WHERE attrelid = ANY(%s::oid[]) AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT b.attrelid, b.attnum, t.typbasetype, CASE WHEN b.typmod >= 0 THEN b.typmod ELSE t.typtypmod END,
           b.required OR t.typnotnull
    FROM base b JOIN pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT a.attrelid, a.attname::text, format_type(t.oid, b.typmod), declared.typtype = 'd', t.typtype::text,
       CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname::text ELSE '' END,
       b.typmod, b.required, a.attgenerated <> '',
       a.atthasdef OR a.attidentity <> '' OR declared.typdefault IS NOT NULL,
       CASE WHEN a.attcollation NOT IN (0, t.typcollation)
            THEN quote_ident(n.nspname) || '.' || quote_ident(l.collname) END,
       coalesce(l.collisdeterministic, true), a.attidentity = 'a'
FROM base b
JOIN pg_attribute a ON a.attrelid = b.attrelid AND a.attnum = b.attnum
JOIN pg_type declared ON declared.oid = a.atttypid
JOIN pg_type t ON t.oid = b.type AND t.typtype <> 'd'
LEFT JOIN pg_collation l ON l.oid = a.attcollation
LEFT JOIN pg_namespace n ON n.oid = l.collnamespace
ORDER BY a.attrelid, a.attnum
"""


def column_from(
    name: str,
    sql_type: str,
    is_domain: bool,
    category: str,
    base: str,
    typmod: int,
    not_null: bool,
    generated: bool,
    has_default: bool,
    collation: str | None,
    deterministic: bool,
    insert_only: bool,
) -> Column:
    """Build a column from a row of the catalogs.

    :param base: name of the built-in type below all domains, empty for any other type
    """
    kind = Kind.ENUM if category == "e" else _KINDS.get(base, Kind.OTHER)
    details: dict[str, Any] = {}
    if kind is Kind.DECIMAL:
        details = _decimal(base, typmod)
    elif kind in (Kind.DATETIME, Kind.TIMESTAMP, Kind.TIME):
        details = {"scale": typmod if typmod >= 0 else 6}
    elif base in ("varchar", "bpchar") and typmod >= 0:
        details = {"length": typmod - 4}
    elif base in _CUT:
        details = {"length": _CUT[base]}
    elif kind is Kind.BIT:
        details = {"length": typmod}
        kind = kind if 0 < typmod <= _MAX_BITS else Kind.OTHER
    if kind in (Kind.TEXT, Kind.CHAR) and not deterministic:
        # `=` of this collation calls values equal whose bytes differ, so do not compare with it.
        kind = Kind.OTHER
    return Column(
        name=name,
        kind=kind,
        sql_type=sql_type,
        is_domain=is_domain,
        nullable=not not_null,
        unsigned=base == "oid",
        collation=collation,
        generated=generated,
        required=not_null and not has_default,
        sets_itself=has_default,
        insert_only=insert_only,
        **details,
    )


def _decimal(base: str, typmod: int) -> dict[str, int]:
    """Unpack precision and scale, which may be negative, from a type modifier."""
    if base == "money":
        return {"scale": 2}
    if typmod < 0:
        return {}
    packed = typmod - 4
    return {"precision": packed >> 16 & 0xFFFF, "scale": ((packed & 0x7FF) ^ 1024) - 1024}

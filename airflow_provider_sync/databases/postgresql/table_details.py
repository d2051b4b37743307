"""Read the indexes, foreign keys, defaults and comments of a table of PostgreSQL."""

from __future__ import annotations

from sqlalchemy import Connection

from airflow_provider_sync.databases.found_details import ACTIONS, FoundDetails, FoundForeignKey, read_defaults
from airflow_provider_sync.protocol.v2.described_details import IndexDescription

_COLUMNS = """
SELECT a.attname::text, pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = ''
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""

# A bit of indoption marks a column in descending order; columns after indnkeyatts are only stored.
_INDEXES = """
SELECT c.relname::text, i.indisunique, i.indpred IS NOT NULL OR i.indexprs IS NOT NULL OR m.amname <> 'btree' AS special,
       m.amname::text,
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
             WHERE k.place <= i.indnkeyatts ORDER BY k.place),
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
             WHERE k.place <= i.indnkeyatts AND i.indoption[k.place - 1] & 1 = 1 ORDER BY k.place)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
WHERE i.indrelid = to_regclass(%s) AND NOT i.indisprimary AND i.indisvalid ORDER BY c.relname
"""

_FOREIGN_KEYS = """
SELECT f.conname::text, CASE WHEN p.relnamespace <> c.relnamespace THEN n.nspname::text END, p.relname::text,
       f.confdeltype::text, f.confupdtype::text,
       ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY AS k(number, place)
             JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.number ORDER BY k.place),
       ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY AS k(number, place)
             JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.number ORDER BY k.place)
FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid
JOIN pg_class p ON p.oid = f.confrelid JOIN pg_namespace n ON n.oid = p.relnamespace
WHERE f.conrelid = to_regclass(%s) AND f.contype = 'f' ORDER BY f.conname
"""

_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


def table_details(connection: Connection, qualified: str) -> FoundDetails:
    """Return the details of a table besides columns and key.

    :param qualified: the table's quoted name, percent signs not doubled
    """
    columns = connection.exec_driver_sql(_COLUMNS, (qualified,)).all()
    defaults, untold = read_defaults((name, default) for name, default, _ in columns)
    indexes = []
    for name, unique, special, method, names, descending in connection.exec_driver_sql(_INDEXES, (qualified,)):
        if special or not names:
            reason = "which has a condition or an expression" if method == "btree" else f"which is {method}"
            untold.append((None, f"index {name!r}, {reason}"))
            continue
        indexes.append(IndexDescription(name=name, columns=tuple(names), descending=tuple(descending), unique=unique))
    foreign_keys = [
        FoundForeignKey(
            name=name,
            columns=tuple(names),
            parent_schema=schema,
            parent=parent,
            parent_columns=tuple(parent_names),
            on_delete=ACTIONS[_ACTIONS.get(on_delete, "NO ACTION")],
            on_update=ACTIONS[_ACTIONS.get(on_update, "NO ACTION")],
        )
        for name, schema, parent, on_delete, on_update, names, parent_names in connection.exec_driver_sql(
            _FOREIGN_KEYS, (qualified,)
        )
    ]
    return FoundDetails(
        indexes=tuple(indexes),
        foreign_keys=tuple(foreign_keys),
        defaults=defaults,
        comments={name: comment for name, _, comment in columns if comment},
        comment=table_comment(connection, qualified),
        untold=tuple(untold),
    )


def table_comment(connection: Connection, qualified: str) -> str | None:
    """Return the comment of a table; ``None`` if it has none.

    :param qualified: see :func:`table_details`
    """
    comment: str | None = connection.exec_driver_sql("SELECT obj_description(to_regclass(%s), 'pg_class')", (qualified,)).scalar()
    return comment

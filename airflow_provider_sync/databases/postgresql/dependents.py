"""Find the objects that depend on a table of PostgreSQL, which refuses to drop it then."""

from __future__ import annotations

from sqlalchemy import Connection

from airflow_provider_sync.databases.dependents import Dependent
from airflow_provider_sync.databases.schema import Table

# Partitions are dropped with their table, so include objects that depend on a partition.
_DEPENDENTS = """
WITH involved AS (
    SELECT to_regclass(%s)::oid AS oid UNION SELECT relid::oid FROM pg_partition_tree(to_regclass(%s))
), found AS (
    SELECT k.conrelid AS oid FROM pg_constraint k JOIN involved i ON i.oid = k.confrelid WHERE k.contype = 'f'
    UNION SELECT r.ev_class FROM pg_depend d JOIN involved i ON i.oid = d.refobjid
          JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
    WHERE d.refclassid = 'pg_class'::regclass
    UNION SELECT h.inhparent FROM pg_inherits h JOIN involved i ON i.oid = h.inhrelid
)
SELECT CASE WHEN c.relkind IN ('v', 'm') THEN 'view' ELSE 'table' END, n.nspname::text, c.relname::text,
       (SELECT s.nspname::text FROM pg_class o JOIN pg_namespace s ON s.oid = o.relnamespace WHERE o.oid = to_regclass(%s))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid IN (SELECT oid FROM found) AND c.oid NOT IN (SELECT oid FROM involved)
"""


def find_dependents(connection: Connection, table: Table, quoted: str) -> tuple[Dependent, ...]:
    """Find foreign keys, views, and inheritance parents and partitioned tables; other objects cause an error of PostgreSQL.

    :param quoted: the quoted name of the table
    """
    rows = connection.exec_driver_sql(_DEPENDENTS, (quoted, quoted, quoted))
    found = {Dependent.of(table, kind, schema, name, own_schema=own) for kind, schema, name, own in rows}
    return tuple(sorted(found))

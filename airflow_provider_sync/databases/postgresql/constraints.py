"""Read which foreign keys refer to a table from PostgreSQL's catalogs, and whether a transaction changed their child tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.postgresql.session import doubled, undoubled
from airflow_provider_sync.databases.schema import Table

NO_ACTION, RESTRICT = "a", "r"
ACTIONS = {NO_ACTION: "NO ACTION", RESTRICT: "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}

# Copies of a constraint on partitions are left out. Servers before PostgreSQL 18 enforce all constraints.
_CONSTRAINTS = """
WITH involved AS (SELECT to_regclass(%s)::oid AS oid UNION SELECT relid FROM pg_partition_tree(to_regclass(%s)))
SELECT k.oid, k.conname::text, quote_ident(k.conname), k.conrelid::oid, k.conrelid::regclass::text,
       k.confdeltype::text, k.confupdtype::text, k.condeferrable,
       ARRAY(SELECT quote_ident(a.attname) FROM unnest(k.conkey) WITH ORDINALITY AS c(attnum, position)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.attnum ORDER BY c.position),
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS c(attnum, position)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.attnum ORDER BY c.position),
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS c(attnum, position)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = c.attnum ORDER BY c.position),
       ARRAY(SELECT 'OPERATOR(' || quote_ident(n.nspname) || '.' || o.oprname || ')'
             FROM unnest(k.conpfeqop) WITH ORDINALITY AS e(oid, position)
             JOIN pg_operator o ON o.oid = e.oid JOIN pg_namespace n ON n.oid = o.oprnamespace ORDER BY e.position),
       ARRAY(SELECT coalesce(' COLLATE ' || quote_ident(n.nspname) || '.' || quote_ident(l.collname), '')
             FROM unnest(k.confkey) WITH ORDINALITY AS c(attnum, position)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = c.attnum
             LEFT JOIN pg_collation l ON l.oid = a.attcollation LEFT JOIN pg_namespace n ON n.oid = l.collnamespace
             ORDER BY c.position),
       pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint'),
       pg_has_role(child.relowner, 'USAGE') AND has_table_privilege(k.confrelid, 'REFERENCES'),
       has_table_privilege(k.conrelid, 'SELECT') AND NOT row_security_active(k.conrelid), child.relkind = 'p'
FROM pg_constraint k JOIN pg_class child ON child.oid = k.conrelid
WHERE k.contype = 'f' AND k.confrelid IN (SELECT oid FROM involved)
  AND NOT EXISTS (SELECT FROM pg_constraint up WHERE up.oid = k.conparentid AND up.confrelid IN (SELECT oid FROM involved))
  AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
ORDER BY k.conrelid::regclass::text, k.conname
"""

INVOLVED = """
SELECT relid::oid FROM pg_partition_tree(to_regclass(%s)) UNION SELECT to_regclass(%s)::oid
"""

TOUCHED = """
SELECT coalesce(sum(pg_stat_get_xact_tuples_updated(r.oid) + pg_stat_get_xact_tuples_deleted(r.oid)), 0)::bigint,
       coalesce(sum(pg_stat_get_xact_tuples_inserted(r.oid)), 0)::bigint,
       array_agg(pg_relation_filenode(r.oid) ORDER BY r.oid)
FROM (SELECT relid::oid AS oid FROM pg_partition_tree(%s::oid::regclass) UNION SELECT %s::oid) r
"""


class Constraint(msgspec.Struct, frozen=True):
    """A foreign key that refers to a merged table.

    :ivar columns: columns of the child table, quoted
    :ivar names: the same columns, unquoted
    :ivar referred: columns of the parent table, unquoted
    :ivar operators: operators with which the database compares parent and child
    :ivar mine: whether this role may drop the constraint and create it again
    :ivar readable: whether this role sees all rows of the child table
    :ivar partitioned: whether the child table has partitions
    """

    oid: int
    name: str
    quoted: str
    child_oid: int
    child: str
    on_delete: str
    on_update: str
    deferrable: bool
    columns: Sequence[str]
    names: Sequence[str]
    referred: Sequence[str]
    operators: Sequence[str]
    collations: Sequence[str]
    definition: str
    comment: str | None
    mine: bool
    readable: bool
    partitioned: bool

    @property
    def child_rows(self) -> str:
        """The child table's own rows, for a FROM clause: the constraint is not about tables that inherit from it."""
        return doubled(self.child) if self.partitioned else f"ONLY {doubled(self.child)}"

    def refers(self, quote: Callable[[str], str], parent: str, child: str) -> str:
        """Return the condition that the child's row refers to the parent's row."""
        parts = zip(self.referred, self.collations, self.operators, self.columns, strict=True)
        return " AND ".join(
            f"{parent}.{quote(there)}{doubled(collation)} {doubled(operator)} {child}.{doubled(here)}"
            for there, collation, operator, here in parts
        )

    @property
    def passes_updates_on(self) -> bool:
        """Whether its ON UPDATE action changes the child's rows."""
        return self.on_update not in (NO_ACTION, RESTRICT)

    @property
    def label(self) -> str:
        """The name to use in messages."""
        return f"constraint {self.name!r} of {self.child}"


def constraints_to(connection: Connection, name: str) -> list[Constraint]:
    """Return the foreign keys that refer to a table or to its partitions.

    :param name: quoted name of the table, percent signs not doubled
    """
    rows = connection.exec_driver_sql(_CONSTRAINTS, (name, name)).all()
    return [Constraint(*row) for row in rows]


def joined(database: Database, connection: Connection, tables: Mapping[int, Table], number: int) -> list[list[int]]:
    """Group tables that are connected by foreign keys.

    :param tables: the tables with foreign keys from or to them, by position
    :param number: number of all tables; each table that is not in ``tables`` is a group by itself
    :return: groups of positions
    """
    position_of: dict[int, int] = {}
    for place, table in tables.items():
        name = undoubled(database.qualified(table))
        position_of |= dict.fromkeys(connection.exec_driver_sql(INVOLVED, (name, name)).scalars(), place)
    group = list(range(number))
    for place, table in tables.items():
        for constraint in constraints_to(connection, undoubled(database.qualified(table))):
            other = position_of.get(constraint.child_oid)
            if other is not None:
                low, high = sorted((group[place], group[other]))
                group = [low if entry == high else entry for entry in group]
    return [[entry for entry in range(number) if group[entry] == first] for first in sorted(set(group))]


def followed(connection: Connection, name: str) -> frozenset[str]:
    """Return the columns of a table whose changes an ON UPDATE action passes on to other rows."""
    return frozenset[str]().union(*(each.referred for each in constraints_to(connection, name) if each.passes_updates_on))


def counts_changes(connection: Connection) -> bool:
    """Whether the server counts changed rows (``track_counts``), as :data:`TOUCHED` requires; only a superuser may set that."""
    return bool(connection.exec_driver_sql("SELECT current_setting('track_counts')::boolean").scalar_one())


def touched(connection: Connection, name: str) -> tuple[object, ...]:
    """Return how many rows of a table this transaction has changed, how many it has inserted, and the table's file numbers.

    TRUNCATE counts no rows, but creates a new file.

    :param name: quoted name of the table, percent signs not doubled
    """
    oid = connection.exec_driver_sql("SELECT to_regclass(%s)::oid", (name,)).scalar_one()
    return tuple(connection.exec_driver_sql(TOUCHED, (oid, oid)).one())

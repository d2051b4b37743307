"""What PostgreSQL's catalogs say about a table, as :class:`Table` and :class:`Column`.

Reading and writing rows belongs to :mod:`.database`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.catalog import Catalog
from airflow_provider_sync.databases.dependents import Dependent
from airflow_provider_sync.databases.found_details import FoundDetails
from airflow_provider_sync.databases.postgresql.dependents import find_dependents
from airflow_provider_sync.databases.postgresql.errors import translated
from airflow_provider_sync.databases.postgresql.session import undoubled
from airflow_provider_sync.databases.postgresql.table_details import table_comment, table_details
from airflow_provider_sync.databases.postgresql.text import logical_type
from airflow_provider_sync.databases.schema import STAGING_PREFIX, Column, Kind, Table, UniqueKey
from airflow_provider_sync.exceptions import MissingTableError, TableError
from airflow_provider_sync.protocol.v2.types import LogicalType

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
"""Longer bit strings do not fit the integer that version 1 sends, and are text."""

_CUT = {"name": 63, "char": 1}
"""Types that the server cuts silently, and their length in bytes."""

_REFUSED = {
    "v": "is a view",
    "m": "is a materialized view",
    "f": "is a foreign table",
    "S": "is a sequence",
    "c": "is a composite type",
    "i": "is an index",
    "I": "is an index",
}

_RELATION = """
SELECT c.oid, c.relkind::text, c.relname::text,
       EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid) AND c.relkind <> 'p' AS has_children
FROM pg_class c WHERE c.oid = to_regclass(%s)
"""

# A domain is followed to the type below it, whose values it has; the first length or precision on the way holds.
_COLUMNS = """
WITH RECURSIVE base(attnum, type, typmod, required) AS (
    SELECT attnum, atttypid, atttypmod, attnotnull FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT b.attnum, t.typbasetype, CASE WHEN b.typmod >= 0 THEN b.typmod ELSE t.typtypmod END, b.required OR t.typnotnull
    FROM base b JOIN pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), t.typtype::text,
       CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname::text ELSE '' END,
       b.typmod, b.required, a.attgenerated <> '',
       a.atthasdef OR a.attidentity <> '' OR declared.typdefault IS NOT NULL,
       CASE WHEN a.attcollation NOT IN (0, declared.typcollation)
            THEN quote_ident(n.nspname) || '.' || quote_ident(l.collname) END,
       coalesce(l.collisdeterministic, true), a.attidentity = 'a'
FROM pg_attribute a
JOIN pg_type declared ON declared.oid = a.atttypid
JOIN base b ON b.attnum = a.attnum
JOIN pg_type t ON t.oid = b.type AND t.typtype <> 'd'
LEFT JOIN pg_collation l ON l.oid = a.attcollation
LEFT JOIN pg_namespace n ON n.oid = l.collnamespace
WHERE a.attrelid = %s
ORDER BY a.attnum
"""

_LIST = """
SELECT c.relname::text FROM pg_class c
WHERE c.relnamespace = to_regnamespace(quote_ident(coalesce(%s::text, current_schema()::text)))
  AND c.relkind IN ({kinds}) AND NOT c.relispartition AND NOT starts_with(c.relname::text, %s)
  AND has_any_column_privilege(c.oid, 'SELECT')
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""

# Servers before PostgreSQL 15 have no indnullsnotdistinct, hence the way through JSON.
_UNIQUE_KEYS = """
SELECT c.relname::text, i.indisprimary, NOT i.indimmediate,
       coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, position)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             WHERE k.position <= i.indnkeyatts ORDER BY k.position)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = %s AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
ORDER BY c.relname
"""

# Those of partitions fire as well. A rule adds its own statements to ours, or replaces them, as a trigger would.
_DEPENDENCIES = """
WITH involved AS (SELECT %s::oid AS oid UNION SELECT relid FROM pg_partition_tree(%s::oid::regclass))
SELECT EXISTS (SELECT FROM pg_constraint k JOIN involved i ON i.oid IN (k.conrelid, k.confrelid) WHERE k.contype = 'f'),
       ARRAY(SELECT t.tgname::text FROM pg_trigger t JOIN involved i ON i.oid = t.tgrelid
             WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
             UNION SELECT 'rule ' || r.rulename FROM pg_rewrite r JOIN involved i ON i.oid = r.ev_class
             WHERE r.rulename <> '_RETURN' AND r.ev_enabled <> 'D' ORDER BY 1),
       row_security_active(%s::oid)
"""

_POLICIES = """
SELECT current_user::text,
       ARRAY(SELECT format('%%s for %%s', polname, CASE polcmd WHEN '*' THEN 'ALL' WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
                                                               WHEN 'w' THEN 'UPDATE' ELSE 'DELETE' END)
             FROM pg_policy WHERE polrelid = %s ORDER BY polname)
"""


def describe_table(connection: Connection, quoted: str, *, name: str, schema: str | None, views: bool = False) -> Table | None:
    """Describe the table that ``quoted`` names, or return ``None`` when nothing has that name.

    Unique keys are those that every row takes part in with plain columns: partial and expression indexes are left out,
    since a row's place in them cannot be told from its columns. A conflict on one of them is the database's own error.

    :param quoted: the quoted name, with its schema where it has one
    :param views: whether a view or a materialized view will do
    :raises TableError: when the name is not that of a plain or partitioned table, nor of a view where those are allowed
    """
    found = connection.exec_driver_sql(_RELATION, (quoted,)).one_or_none()
    # A name longer than 63 bytes is cut by the server, and may then be another table's.
    if found is None or found[2] != name:
        return None
    oid, relkind, _, has_children = found
    full_name = f"{schema}.{name}" if schema else name
    is_view = relkind in "vm"
    if relkind not in "rp" and not (views and is_view):
        raise TableError(f"{full_name!r} {_REFUSED.get(relkind, 'is not a table')}. Name a table.")
    if has_children:
        raise TableError(f"Table {full_name!r} has child tables, whose rows its key does not cover. Name those instead.")

    primary_key: tuple[str, ...] = ()
    unique_keys = []
    for index, primary, deferrable, nulls_equal, columns in connection.exec_driver_sql(_UNIQUE_KEYS, (oid,)):
        if primary:
            primary_key = tuple(columns)
        else:
            key = UniqueKey(name=index, columns=tuple(columns), deferrable=deferrable, nulls_distinct=not nulls_equal)
            unique_keys.append(key)
    foreign_keys, triggers, filtered = connection.exec_driver_sql(_DEPENDENCIES, (oid, oid, oid)).one()
    return Table(
        name=name,
        schema=schema,
        columns=tuple(column_from(*row) for row in connection.exec_driver_sql(_COLUMNS, (oid, oid))),
        primary_key=primary_key,
        unique_keys=tuple(unique_keys),
        foreign_keys=foreign_keys,
        triggers=tuple(triggers),
        row_filter=_row_filter(connection, oid) if filtered else None,
        is_view=is_view,
    )


def _row_filter(connection: Connection, oid: int) -> str:
    """Name the role from which rows are hidden, and the policies that show it others."""
    role, policies = connection.exec_driver_sql(_POLICIES, (oid,)).one()
    return f"the role {role!r} ({', '.join(f'policy {policy}' for policy in policies) or 'no policy, so all rows'})"


def column_from(
    name: str,
    sql_type: str,
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
        # Only equality of bytes makes two values the same, and this collation's `=` is not that.
        kind = Kind.OTHER
    return Column(
        name=name,
        kind=kind,
        sql_type=sql_type,
        nullable=not not_null,
        unsigned=base == "oid",
        collation=collation,
        generated=generated,
        required=not_null and not has_default,
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


def readings(name: str) -> Iterator[tuple[str | None, str]]:
    """Yield schema and table that ``name`` may mean."""
    if not name or "\0" in name:
        return
    yield None, name
    schema, dot, table = name.partition(".")
    if dot and schema and table:
        yield schema, table


def lock_key(connection: Connection, name: str, quote: Callable[[str], str]) -> str:
    """Return schema and name of a table, or of the one that would be made under this name."""
    candidates = list(readings(name))
    for schema, table in candidates:
        quoted = f"{quote(schema)}.{quote(table)}" if schema else quote(table)
        found = connection.exec_driver_sql(
            "SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.oid = to_regclass(%s) AND c.relname = %s",
            (undoubled(quoted), table),
        ).scalar()
        if found is not None:
            return f"{found}.{table}"
    schema, table = candidates[-1] if candidates else (None, name)
    return f"{schema or connection.exec_driver_sql('SELECT current_schema()').scalar()}.{table}"


class PostgreSQLCatalog(Catalog):
    """What the catalogs say."""

    def describe(self, connection: Connection, name: str, *, views: bool = False) -> Table:
        """Describe a plain or partitioned table; one without a schema is looked for in the search path."""
        with translated():
            for schema, table in readings(name):
                quoted = f"{self.quote(schema)}.{self.quote(table)}" if schema else self.quote(table)
                found = describe_table(connection, undoubled(quoted), name=table, schema=schema, views=views)
                if found is not None:
                    return found
        raise MissingTableError(
            f"There is no table {name!r} that this role sees. Name it as it is written in the database, as schema.table"
            " where its schema is not in the search path, and check the role's privileges."
        )

    def table_comment(self, connection: Connection, table: Table) -> str | None:
        """See :func:`.table_details.table_comment`."""
        with translated():
            return table_comment(connection, undoubled(self.qualified(table)))

    def table_details(self, connection: Connection, table: Table) -> FoundDetails:
        """See :func:`.table_details.table_details`."""
        with translated():
            return table_details(connection, undoubled(self.qualified(table)))

    def list_tables(self, connection: Connection, schema: str | None = None) -> list[str]:
        """Name the tables of a schema; partitions, and tables that belong to an extension, are left out too."""
        with translated():
            return sorted(connection.exec_driver_sql(_LIST.format(kinds="'r', 'p'"), (schema, STAGING_PREFIX)).scalars())

    def list_views(self, connection: Connection) -> list[str]:
        """Name the views of the current schema, materialized ones too, without those that belong to an extension."""
        with translated():
            return sorted(connection.exec_driver_sql(_LIST.format(kinds="'v', 'm'"), (None, STAGING_PREFIX)).scalars())

    def find_dependents(self, connection: Connection, table: Table) -> tuple[Dependent, ...]:
        """See :func:`.dependents.find_dependents`."""
        with translated():
            return find_dependents(connection, table, undoubled(self.qualified(table)))

    def logical_type(self, column: Column) -> LogicalType:
        """See :func:`.text.logical_type`; every type of PostgreSQL has a text that it reads again."""
        return logical_type(column)

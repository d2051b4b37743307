"""Describe tables by PostgreSQL's catalogs, as :class:`Table`; :mod:`.columns` describes their columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.catalog import Catalog
from airflow_provider_sync.databases.dependents import Dependent
from airflow_provider_sync.databases.found_details import FoundDetails
from airflow_provider_sync.databases.postgresql.called_functions import CALLED_FUNCTIONS
from airflow_provider_sync.databases.postgresql.columns import COLUMNS, column_from
from airflow_provider_sync.databases.postgresql.dependents import find_dependents
from airflow_provider_sync.databases.postgresql.errors import translated
from airflow_provider_sync.databases.postgresql.session import undoubled
from airflow_provider_sync.databases.postgresql.table_details import table_comment, table_details
from airflow_provider_sync.databases.postgresql.text import logical_type
from airflow_provider_sync.databases.schema import STAGING_PREFIX, Column, Table, UniqueKey
from airflow_provider_sync.exceptions import MissingTableError, TableBusyError, TableError
from airflow_provider_sync.protocol.v2.types import LogicalType

_REFUSED = {
    "v": "is a view",
    "m": "is a materialized view",
    "f": "is a foreign table",
    "S": "is a sequence",
    "c": "is a composite type",
    "i": "is an index",
    "I": "is an index",
}

_RELATIONS = """
SELECT asked.quoted, c.oid, c.relkind::text, c.relname::text,
       EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid) AND c.relkind <> 'p' AS has_children,
       nullif(n.nspname, current_schema())::text
FROM unnest(%s::text[]) AS asked(quoted) JOIN pg_class c ON c.oid = to_regclass(asked.quoted)
JOIN pg_namespace n ON n.oid = c.relnamespace
"""

_USABLE_SCHEMAS = "SELECT nspname::text FROM pg_namespace WHERE has_schema_privilege(oid, 'USAGE')"

_MAX_NAME_BYTES = 63
"""The server truncates longer names without an error."""

_ELSEWHERE = """
SELECT current_schema(), current_setting('search_path'), (
    SELECT json_agg(json_build_array(n.nspname, has_schema_privilege(n.oid, 'USAGE')) ORDER BY n.nspname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname::text = ANY(%s) AND n.nspname <> ALL(current_schemas(FALSE))
        AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^(pg_|information_schema$)'
)
"""

_SCHEMAS = """
SELECT asked.quoted, n.nspname::text, c.relname::text
FROM unnest(%s::text[]) AS asked(quoted) JOIN pg_class c ON c.oid = to_regclass(asked.quoted)
JOIN pg_namespace n ON n.oid = c.relnamespace
"""

# The server resolves names in the current state, but shows `pg_class` as of the snapshot.
_MADE_LATER = """
SELECT 1 FROM unnest(%s::text[]) AS asked(quoted) LEFT JOIN pg_class c ON c.oid = to_regclass(asked.quoted)
WHERE to_regclass(asked.quoted) IS NOT NULL AND c.oid IS NULL
"""

_ESTIMATES = """
SELECT asked.quoted, c.reltuples::bigint AS rows
FROM unnest(%s::text[]) AS asked(quoted) JOIN pg_class c ON c.oid = to_regclass(asked.quoted)
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
SELECT i.indrelid, c.relname::text, i.indisprimary, NOT i.indimmediate,
       coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, position)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             WHERE k.position <= i.indnkeyatts ORDER BY k.position)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY(%s::oid[]) AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
ORDER BY c.relname
"""

# Triggers of partitions fire as well. A rule adds statements to ours, or replaces them, as a trigger could.
# The server expects a thousand rows of a function's result, and ten of an array's; see CALLED_FUNCTIONS.
_DEPENDENCIES = f"""
WITH RECURSIVE involved AS (
    SELECT described.oid AS described, described.oid FROM unnest(%s::oid[]) AS described(oid)
    UNION
    SELECT described.oid, p.relid FROM unnest(%s::oid[]) AS described(oid),
           unnest(ARRAY(SELECT relid::oid FROM pg_partition_tree(described.oid::regclass))) AS p(relid)
), {CALLED_FUNCTIONS}, triggers AS (
    SELECT i.described, t.tgname::text AS name FROM pg_trigger t JOIN involved i ON i.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
    UNION
    SELECT i.described, 'rule ' || r.rulename FROM pg_rewrite r JOIN involved i ON i.oid = r.ev_class
    WHERE r.rulename <> '_RETURN' AND r.ev_enabled <> 'D'
)
SELECT i.described,
       bool_or(i.oid IN (SELECT conrelid FROM pg_constraint WHERE contype = 'f'
                         UNION ALL SELECT confrelid FROM pg_constraint WHERE contype = 'f')),
       ARRAY(SELECT t.name FROM triggers t WHERE t.described = i.described ORDER BY 1),
       ARRAY(SELECT DISTINCT f.name FROM called f WHERE f.described = i.described ORDER BY 1),
       row_security_active(i.described),
       min(i.oid::regclass::text) FILTER (WHERE i.oid IN (SELECT ftrelid FROM pg_foreign_table))
FROM involved i GROUP BY i.described
"""

_POLICIES = """
SELECT current_user::text,
       ARRAY(SELECT format('%%s for %%s', polname, CASE polcmd WHEN '*' THEN 'ALL' WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
                                                               WHEN 'w' THEN 'UPDATE' ELSE 'DELETE' END)
             FROM pg_policy WHERE polrelid = %s ORDER BY polname)
"""


def describe_tables(
    connection: Connection, asked: Sequence[tuple[str | None, str]], quote: Callable[[str], str], *, views: bool = False
) -> dict[tuple[str | None, str], Table | TableError]:
    """Describe tables; names of tables that do not exist are left out.

    Unique keys are those of plain columns that contain every row. Partial and expression indexes are left out, since their
    entries do not follow from a row's columns; a conflict in one of them is an error of the database.

    :param asked: schema and name of each table; the schema is ``None`` for the search path
    :param views: whether views and materialized views are accepted
    :return: tables by schema and name as asked; for a table that cannot be described, the error instead
    """
    by_quoted = {_quoted(*names, quote): names for names in asked}
    found = {
        by_quoted[quoted]: (oid, relkind, has_children, place)
        for quoted, oid, relkind, name, has_children, place in connection.exec_driver_sql(_RELATIONS, (list(by_quoted),))
        # The server truncates a name longer than 63 bytes, which may then be another table's.
        if name == by_quoted[quoted][1]
    }
    oids = [oid for oid, *_ in found.values()]
    if not oids:
        return {}
    columns = _by_table(connection, COLUMNS, oids)
    indexes = _by_table(connection, _UNIQUE_KEYS, oids)
    dependencies = {oid: rest for oid, *rest in connection.exec_driver_sql(_DEPENDENCIES, (oids, oids))}
    described: dict[tuple[str | None, str], Table | TableError] = {}
    for (schema, name), (oid, relkind, has_children, place) in found.items():
        if reason := _refusal(f"{schema}.{name}" if schema else name, relkind, has_children=has_children, views=views):
            described[schema, name] = reason
            continue
        foreign_keys, triggers, functions, filtered, foreign = dependencies[oid]
        keys = indexes.get(oid, ())
        described[schema, name] = Table(
            name=name,
            # Name the schema: new tables, such as staging tables, go to the first of the search path, which may be another.
            schema=schema or place,
            columns=tuple(column_from(*row) for row in columns.get(oid, ())),
            primary_key=next((tuple(names) for _, is_primary, _, _, names in keys if is_primary), ()),
            unique_keys=tuple(
                UniqueKey(name=index, columns=tuple(names), deferrable=deferrable, nulls_distinct=not nulls_equal)
                for index, is_primary, deferrable, nulls_equal, names in keys
                if not is_primary
            ),
            foreign_keys=foreign_keys,
            triggers=tuple(triggers),
            functions=tuple(functions),
            row_filter=_row_filter(connection, oid) if filtered else None,
            cannot_roll_back=f"foreign table {foreign}" if foreign else None,
            kept_elsewhere=foreign is not None,
            is_view=relkind in "vm",
        )
    return described


def _quoted(schema: str | None, name: str, quote: Callable[[str], str]) -> str:
    return undoubled(f"{quote(schema)}.{quote(name)}" if schema else quote(name))


def _by_table(connection: Connection, statement: str, oids: Sequence[int]) -> dict[int, list[Sequence[Any]]]:
    """Run a statement about several tables, and group its rows by table, the first column."""
    found: dict[int, list[Sequence[Any]]] = {}
    for oid, *rest in connection.exec_driver_sql(statement, (list(oids),)):
        found.setdefault(oid, []).append(rest)
    return found


def _refusal(name: str, relkind: str, *, has_children: bool, views: bool) -> TableError | None:
    """Return the error for an object that cannot be described as a table; ``None`` if it can."""
    if relkind not in "rp" and not (views and relkind in "vm"):
        return TableError(f"{name!r} {_REFUSED.get(relkind, 'is not a table')}. Name a table.")
    if has_children:
        return TableError(f"Table {name!r} has child tables, whose rows its key does not cover. Name those instead.")
    return None


def _row_filter(connection: Connection, oid: int) -> str:
    """Name the role from which rows are hidden, and the policies that let it see other rows."""
    role, policies = connection.exec_driver_sql(_POLICIES, (oid,)).one()
    return f"the role {role!r} ({', '.join(f'policy {policy}' for policy in policies) or 'no policy, so all rows'})"


def readings(name: str) -> Iterator[tuple[str | None, str]]:
    """Yield the pairs of schema and table that ``name`` may refer to."""
    if not name or "\0" in name:
        return
    yield None, name
    schema, dot, table = name.partition(".")
    if dot and schema and table:
        yield schema, table


def _where_it_is(connection: Connection, name: str) -> str:
    """Explain, as the end of a sentence, why a table is not found: other schemas have it, or the search path has no schema."""
    current, path, schemas = connection.exec_driver_sql(_ELSEWHERE, ([table for _, table in readings(name)],)).one()
    found = "".join(
        f"; schema {schema!r} has one, {'which is not in its search_path' if usable else 'on which the role lacks USAGE'}"
        for schema, usable in schemas or ()
    )
    return found if current else f", since its search_path ({path}) leads to no schema that it may use{found}"


class PostgreSQLCatalog(Catalog):
    """Describes tables by PostgreSQL's catalogs."""

    def places_of(self, connection: Connection, names: Sequence[str]) -> list[tuple[str, str]]:
        """See :meth:`.Catalog.places_of`."""
        candidates = {name: list(readings(name)) for name in names}
        quoted = {_quoted(*reading, self.quote): reading for listed in candidates.values() for reading in listed}
        found = {
            quoted[asked]: schema
            for asked, schema, table in connection.exec_driver_sql(_SCHEMAS, (list(quoted),))
            if table == quoted[asked][1]
        }
        default = connection.exec_driver_sql("SELECT current_schema()").scalar()

        def place(name: str) -> tuple[str, str]:
            for reading in candidates[name]:
                if reading in found:
                    return found[reading], reading[1]
            schema, table = candidates[name][-1] if candidates[name] else (None, name)
            return schema or str(default), table

        return [place(name) for name in names]

    def describe(self, connection: Connection, name: str, *, views: bool = False) -> Table:
        """Describe a plain or partitioned table; search a name without a schema in the search path."""
        found = self._described(connection, [name], views=views).get(name)
        if isinstance(found, Table):
            return found
        if found is not None:
            raise found
        for part in next(iter(reversed(list(readings(name)))), ()):
            if part and (size := len(part.encode())) > _MAX_NAME_BYTES:
                raise TableError(
                    f"The name {part!r} has {size} bytes, and PostgreSQL takes {_MAX_NAME_BYTES}. Give the table a shorter one"
                    " with 'table'."
                )
        quoted = [_quoted(*reading, self.quote) for reading in readings(name)]
        if connection.exec_driver_sql(_MADE_LATER, (quoted,)).first():
            raise TableBusyError(f"Table {name!r} was made or replaced while it was to be read. Try again.")
        raise MissingTableError(
            f"There is no table {name!r} that this role sees{_where_it_is(connection, name)}.",
            "Name it as it is written in the database, as schema.table where its schema is not in the search path, and check the"
            " role's privileges.",
        )

    def table_comment(self, connection: Connection, table: Table) -> str | None:
        """See :func:`.table_details.table_comment`."""
        with translated():
            return table_comment(connection, undoubled(self.qualified(table)))

    def describe_many(self, connection: Connection, names: Collection[str], *, views: bool = False) -> Mapping[str, Table]:
        """Describe all tables with as many statements as a single one."""
        with translated():
            usable = set(connection.exec_driver_sql(_USABLE_SCHEMAS).scalars())
        # For a name in any other schema, the server would refuse the whole statement.
        names = [name for name in names if all(schema is None or schema in usable for schema, _ in readings(name))]
        described = self._described(connection, names, views=views)
        return {name: table for name, table in described.items() if isinstance(table, Table)}

    def _described(self, connection: Connection, names: Collection[str], *, views: bool) -> dict[str, Table | TableError]:
        meanings = {name: list(readings(name)) for name in names}
        asked = [reading for listed in meanings.values() for reading in listed]
        with translated():
            found = describe_tables(connection, asked, self.quote, views=views)
        described: dict[str, Table | TableError] = {}
        for name, listed in meanings.items():
            for reading in reversed(listed):  # the first one that exists wins
                if reading in found:
                    described[name] = found[reading]
        return described

    def estimated_rows(self, connection: Connection, tables: Sequence[Table]) -> list[int]:
        """Return the counts of the last VACUUM or ANALYZE; 0 for partitioned tables and tables that had neither."""
        quoted = [undoubled(self.qualified(table)) for table in tables]
        with translated():
            rows = {row.quoted: row.rows for row in connection.exec_driver_sql(_ESTIMATES, (quoted,))}
        return [max(rows.get(name, 0), 0) for name in quoted]

    def table_details(self, connection: Connection, table: Table) -> FoundDetails:
        """See :func:`.table_details.table_details`."""
        with translated():
            return table_details(connection, undoubled(self.qualified(table)))

    def list_tables(self, connection: Connection, schema: str | None = None) -> list[str]:
        """List the tables of a schema, also without partitions and tables that belong to an extension."""
        with translated():
            return sorted(connection.exec_driver_sql(_LIST.format(kinds="'r', 'p'"), (schema, STAGING_PREFIX)).scalars())

    def list_views(self, connection: Connection) -> list[str]:
        """List the views and materialized views of the current schema, without those that belong to an extension."""
        with translated():
            return sorted(connection.exec_driver_sql(_LIST.format(kinds="'v', 'm'"), (None, STAGING_PREFIX)).scalars())

    def find_dependents(self, connection: Connection, table: Table) -> tuple[Dependent, ...]:
        """See :func:`.dependents.find_dependents`."""
        with translated():
            return find_dependents(connection, table, undoubled(self.qualified(table)))

    def logical_type(self, column: Column) -> LogicalType:
        """See :func:`.text.logical_type`; never ``None``, since PostgreSQL can write every type as text and read it back."""
        return logical_type(column)

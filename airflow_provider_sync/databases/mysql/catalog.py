"""Describe tables by information_schema of MySQL and MariaDB, as :mod:`~airflow_provider_sync.databases.schema` defines them.

:mod:`.columns` describes columns. SQLAlchemy's inspector does not report invisible columns, prefix indexes, JSON on MariaDB or
triggers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any

import msgspec
import sqlalchemy
from sqlalchemy import BindParameter, Connection, bindparam, text
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.contract.catalog import Catalog
from airflow_provider_sync.databases.dependents import Dependent
from airflow_provider_sync.databases.found_details import FoundDetails
from airflow_provider_sync.databases.mysql.columns import COLUMNS, column_from, find_json_columns
from airflow_provider_sync.databases.mysql.dependents import find_dependents
from airflow_provider_sync.databases.mysql.errors import NO_COLUMN_PRIVILEGE, error_number
from airflow_provider_sync.databases.mysql.server_facts import MySQLComponent
from airflow_provider_sync.databases.mysql.table_details import table_comment, table_details
from airflow_provider_sync.databases.mysql.text import logical_type
from airflow_provider_sync.databases.mysql.unseen_triggers import has_unseen_triggers, sees_triggers
from airflow_provider_sync.databases.schema import STAGING_PREFIX, Column, Table, UniqueKey
from airflow_provider_sync.exceptions import MissingTableError, TableError
from airflow_provider_sync.protocol.v2.types import LogicalType

_TABLE_TYPES = ("BASE TABLE", "SYSTEM VERSIONED")

_OTHER_SERVERS = ("CONNECT", "FEDERATED", "SPIDER")
"""Storage engines whose rows another server may keep, whatever they say about transactions.

Their sessions there neither have our settings, such as ``foreign_key_checks``, nor do they show which engine keeps the rows.
"""

_RATIO = 8
"""If the database has more than this many tables per table to describe, MariaDB describes them faster one by one.

MariaDB looks up a single name, but opens every table of the database to find several.
"""

_NAMES: BindParameter[list[str]] = bindparam("names", expanding=True)
_TABLES = text(
    "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, CREATE_OPTIONS, (SELECT TRANSACTIONS FROM information_schema.ENGINES"
    " WHERE ENGINES.ENGINE = TABLES.ENGINE) AS TRANSACTIONAL FROM information_schema.TABLES"
    " WHERE TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND TABLE_NAME IN :names"
).bindparams(_NAMES)
_TABLE_NAMES = text(
    "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN :names"
).bindparams(_NAMES)
_COUNT = text("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = COALESCE(:schema, DATABASE())")
_INDEXES = (
    "SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, SUB_PART, COLLATION, {hidden} AS HIDDEN FROM information_schema.STATISTICS"
    " WHERE TABLE_SCHEMA = :schema AND TABLE_NAME IN :names AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX"
)
_HAS_IGNORED, _HAS_INVISIBLE = (10, 6), (8, 0)
_TRIGGERS = text(
    "SELECT EVENT_OBJECT_TABLE AS TABLE_NAME, TRIGGER_NAME FROM information_schema.TRIGGERS"
    " WHERE EVENT_OBJECT_SCHEMA = :schema AND EVENT_OBJECT_TABLE IN :names ORDER BY TRIGGER_NAME"
).bindparams(_NAMES)
_PARTITIONS = text(
    "SELECT COALESCE(SUBPARTITION_NAME, PARTITION_NAME) FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = :schema"
    " AND TABLE_NAME = :name ORDER BY PARTITION_ORDINAL_POSITION, SUBPARTITION_ORDINAL_POSITION"
)
_CHECKS = text(
    "SELECT TABLE_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS"
    " WHERE CONSTRAINT_SCHEMA = :schema AND TABLE_NAME IN :names"
).bindparams(_NAMES)
# Search only this database: to find references from others, the server would open all of its tables, which takes long, and
# MariaDB 10.11 crashed when a table was dropped during the query.
_REFERENCES = text(
    "SELECT DISTINCT TABLE_NAME, IF(REFERENCED_TABLE_SCHEMA = :schema, REFERENCED_TABLE_NAME, NULL) AS PARENT"
    " FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = :schema AND REFERENCED_TABLE_NAME IS NOT NULL"
    " AND (TABLE_NAME IN :names OR (REFERENCED_TABLE_SCHEMA = :schema AND REFERENCED_TABLE_NAME IN :names))"
).bindparams(_NAMES)
_ESTIMATES = text(
    "SELECT TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES"
    " WHERE TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND TABLE_NAME IN :names"
).bindparams(_NAMES)
_LIST = text(
    "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND TABLE_TYPE IN :types"
).bindparams(bindparam("types", expanding=True))


class MySQLTable(Table, frozen=True, kw_only=True):
    """A table, with the facts that decide how MySQL scans and indexes it.

    :ivar storage_engine: ``InnoDB``, or another engine, whose scans do not follow a key
    :ivar partitions: the partitions, or their subpartitions, in the order in which a scan reads them; empty for a table without
        partitions
    :ivar prefixes: prefix lengths of the PRIMARY KEY, in characters or bytes, by column; only columns that are not fully indexed
    :ivar descending: columns of the PRIMARY KEY that it sorts in descending order
    :ivar temporary: whether this is a temporary table
    """

    storage_engine: str = "InnoDB"
    partitions: tuple[str, ...] = ()
    prefixes: Mapping[str, int] = msgspec.field(default_factory=dict)
    descending: frozenset[str] = frozenset()
    temporary: bool = False

    @property
    def keeps_key_order(self) -> bool:
        """Whether a scan of the table, or of one of its partitions, follows its primary key."""
        return self.storage_engine.lower() == "innodb"


class _Details:
    """The rows of information_schema about some tables: columns, indexes, triggers, checks and references.

    :param names: names of the tables, as the database writes them
    """

    def __init__(self, connection: Connection, schema: str, names: Sequence[str], *, mariadb: bool) -> None:
        self._connection = connection
        self._schema = schema
        self._names = names
        self._columns = self._by_table(COLUMNS)
        self._indexes = self._by_table(text(_INDEXES.format(hidden=_hidden(connection, mariadb=mariadb))).bindparams(_NAMES))
        self._triggers = self._by_table(_TRIGGERS)
        self._checks = self._by_table(_CHECKS) if mariadb else {}
        references = _rows(connection, _REFERENCES, schema, names)
        self._referring = {name for row in references for name in (row.TABLE_NAME, row.PARENT)}
        if len(names) == 1 and references:
            self._referring.add(names[0])

    def _by_table(self, statement: sqlalchemy.TextClause) -> Mapping[str, Sequence[sqlalchemy.Row[Any]]]:
        rows = _rows(self._connection, statement, self._schema, self._names)
        if len(self._names) == 1:
            return {self._names[0]: rows}  # the lists may write its name in different case, if case does not matter
        found: dict[str, list[sqlalchemy.Row[Any]]] = {}
        for row in rows:
            found.setdefault(row.TABLE_NAME, []).append(row)
        return found

    def table(self, schema: str | None, name: str, found: sqlalchemy.Row[Any], *, views: bool) -> MySQLTable:
        """Return one of the tables; see :meth:`.MySQLCatalog.describe`.

        :param schema: database of the table, if it is not the default one
        :param name: name of the table for messages
        :param found: row of the table in the list of tables
        """
        is_view = found.TABLE_TYPE == "VIEW"
        if found.TABLE_TYPE not in _TABLE_TYPES and not (views and is_view):
            raise TableError(f"{name!r} is not a table but a {found.TABLE_TYPE.lower()}. Only tables can be synced.")
        key = found.TABLE_NAME
        checked = find_json_columns(row.CHECK_CLAUSE for row in self._checks.get(key, ()))
        found_columns = tuple(column_from(row, checked) for row in self._columns.get(key, ()))
        if is_view and not found_columns:
            raise TableError(
                f"The view {name!r} has no columns that this user sees. Does it refer to something that is gone, or call a"
                " function that writes?"
            )
        if not found_columns:
            raise TableError(
                f"This user sees no column of table {name!r}. Grant it SELECT; the target of a sync also needs INSERT, UPDATE and"
                " DELETE."
            )
        # MariaDB adds the end of a row version to each unique key, so that a key can have any number of former versions.
        system = {column.name for column in found_columns if column.system}
        primary_key: tuple[str, ...] = ()
        prefixes: dict[str, int] = {}
        descending: frozenset[str] = frozenset()
        unique_keys = []
        for index, parts in groupby(self._indexes.get(key, ()), key=lambda part: part.INDEX_NAME):
            columns = [part for part in parts if part.COLUMN_NAME not in system]
            if index == "PRIMARY":
                primary_key = tuple(part.COLUMN_NAME for part in columns)
                prefixes = {part.COLUMN_NAME: int(part.SUB_PART) for part in columns if part.SUB_PART}
                descending = frozenset(part.COLUMN_NAME for part in columns if part.COLLATION == "D")
            elif all(part.COLUMN_NAME and not part.SUB_PART for part in columns):
                # Leave out keys over prefixes and expressions: a conflict in one of them is an error of the merge.
                names = tuple(part.COLUMN_NAME for part in columns)
                unique_keys.append(UniqueKey(name=index, columns=names, hidden=bool(columns[0].HIDDEN)))
        elsewhere = (found.ENGINE or "").upper() in _OTHER_SERVERS
        rolls_back = found.TRANSACTIONAL == "YES" and not elsewhere
        is_partitioned = "partitioned" in (found.CREATE_OPTIONS or "")
        return MySQLTable(
            name=key,
            schema=schema,
            columns=found_columns,
            primary_key=primary_key,
            unique_keys=tuple(unique_keys),
            foreign_keys=key in self._referring,
            triggers=tuple(row.TRIGGER_NAME for row in self._triggers.get(key, ())),
            storage_engine=found.ENGINE or "",
            partitions=_partitions(self._connection, {"schema": self._schema, "name": key}) if is_partitioned else (),
            prefixes=prefixes,
            descending=descending,
            is_view=is_view,
            cannot_roll_back=None if rolls_back else found.ENGINE or "an unknown storage engine",
            kept_elsewhere=elsewhere,
        )


def _hidden(connection: Connection, *, mariadb: bool) -> str:
    """Return the condition on STATISTICS that no query may use an index; older servers have no such indexes."""
    version = connection.dialect.server_version_info or ()
    if mariadb:
        return "IGNORED = 'YES'" if version >= _HAS_IGNORED else "0"
    return "IS_VISIBLE = 'NO'" if version >= _HAS_INVISIBLE else "0"


def _place_of(connection: Connection, name: str) -> tuple[str, str]:
    try:
        _, found = _find(connection, name)
    except MissingTableError:
        schema, dot, table = name.partition(".")
        if not (dot and schema and table):
            schema, table = "", name
        return schema or str(connection.execute(text("SELECT DATABASE()")).scalar()), table
    return found.TABLE_SCHEMA, found.TABLE_NAME


def _find(connection: Connection, name: str) -> tuple[str | None, sqlalchemy.Row[Any]]:
    schema, dot, table = name.partition(".")
    candidates: list[tuple[str | None, str]] = [(None, name)]
    if dot:
        candidates.append((schema, table))
    for schema_name, table_name in candidates:
        found = connection.execute(_TABLES, {"schema": schema_name, "names": [table_name]}).first()
        if found is not None:
            return None if schema_name is None else found.TABLE_SCHEMA, found
    database = connection.execute(text("SELECT DATABASE()")).scalar()
    where = f"in database {database!r}" if database else "and the connection names no database"
    raise MissingTableError(f"There is no table {name!r} {where}.", "Check its name and the privileges of the user.")


def _partitions(connection: Connection, key: dict[str, str]) -> tuple[str, ...]:
    return tuple(connection.execute(_PARTITIONS, key).scalars())


def _rows(
    connection: Connection, statement: sqlalchemy.TextClause, schema: str | None, names: Iterable[str]
) -> Sequence[sqlalchemy.Row[Any]]:
    return connection.execute(statement, {"schema": schema, "names": list(names)}).all()


def _listed(connection: Connection, schema: str | None, types: Sequence[str]) -> list[str]:
    names = connection.execute(_LIST, {"schema": schema, "types": types}).scalars()
    return sorted(name for name in names if not name.startswith(STAGING_PREFIX))


class MySQLCatalog(MySQLComponent, Catalog):
    """Describes tables by information_schema."""

    def places_of(self, connection: Connection, names: Sequence[str]) -> list[tuple[str, str]]:
        """See :meth:`.Catalog.places_of`; a schema is a database here.

        If the server ignores case, all are in lower case: it would give a table another name than the one asked for.
        """
        if self.server.ignores_case(connection):
            return [(schema.lower(), table.lower()) for schema, table in (_place_of(connection, name) for name in names)]
        if len(names) < 2:
            return [_place_of(connection, name) for name in names]
        default = connection.exec_driver_sql("SELECT DATABASE()").scalar()
        # To list only names, the server reads the directory, without opening tables.
        listed = {row.TABLE_NAME for row in connection.execute(_TABLE_NAMES, {"names": list(names)})}
        return [
            # A name without a dot is unambiguous, and has the server's spelling.
            (str(default), name) if name in listed or "." not in name else _place_of(connection, name)
            for name in names
        ]

    def describe(self, connection: Connection, name: str, *, views: bool = False) -> Table:
        """Describe the table called ``name``: the whole name, or split at the first dot into database and table."""
        schema, found = _find(connection, name)
        details = _Details(connection, found.TABLE_SCHEMA, [found.TABLE_NAME], mariadb=self.server.is_mariadb(connection))
        return details.table(schema, name, found, views=views)

    def describe_many(self, connection: Connection, names: Collection[str], *, views: bool = False) -> Mapping[str, Table]:
        """Query each table of information_schema once, unless the database has many more tables than ``names``."""
        mariadb = self.server.is_mariadb(connection)
        described: dict[str, Table] = {}
        asked: dict[str | None, dict[str, str]] = {None: {name: name for name in names}}
        for name in names:
            before, _, after = name.partition(".")
            if before and after:
                asked.setdefault(before, {})[after] = name
        # A table with the whole name takes precedence.
        for schema, tables in asked.items():
            wanted = {table: name for table, name in tables.items() if name not in described}
            if len(wanted) < 2:
                continue
            if mariadb and len(wanted) * _RATIO < connection.execute(_COUNT, {"schema": schema}).scalar_one():
                continue
            found = [row for row in _rows(connection, _TABLES, schema, wanted) if row.TABLE_NAME in wanted]
            if not found:
                continue
            details = _Details(connection, found[0].TABLE_SCHEMA, [row.TABLE_NAME for row in found], mariadb=mariadb)
            for row in found:
                name = wanted[row.TABLE_NAME]
                with suppress(TableError):
                    described[name] = details.table(None if schema is None else row.TABLE_SCHEMA, name, row, views=views)
        return described

    def estimated_rows(self, connection: Connection, tables: Sequence[Table]) -> list[int]:
        """Query the statistics of each database once."""
        estimates: dict[tuple[str | None, str], int] = {}
        for schema in {table.schema for table in tables}:
            names = [table.name for table in tables if table.schema == schema]
            for row in _rows(connection, _ESTIMATES, schema, names):
                estimates[schema, row.TABLE_NAME] = int(row.TABLE_ROWS or 0)
        return [estimates.get((table.schema, table.name), 0) for table in tables]

    def sees_all_columns(self, connection: Connection, table: Table) -> bool:
        """Select all columns: those that the user may not read are not listed, but make this SELECT fail."""
        try:
            connection.exec_driver_sql(f"SELECT * FROM {self.relation(table)} AS t LIMIT 0").all()
        except SQLAlchemyError as error:
            if error_number(error) in NO_COLUMN_PRIVILEGE:
                return False
            raise
        return True

    def has_unseen_triggers(self, connection: Connection, table: Table) -> bool:
        """See :mod:`.unseen_triggers`."""
        if table.triggers or self.server.is_mariadb(connection) or sees_triggers(connection, table):
            return False
        return has_unseen_triggers(connection, table, self.qualified(table), self.quote)

    def table_comment(self, connection: Connection, table: Table) -> str | None:
        """See :func:`.table_details.table_comment`."""
        return table_comment(connection, table)

    def table_details(self, connection: Connection, table: Table) -> FoundDetails:
        """See :func:`.table_details.table_details`."""
        return table_details(connection, table, self.qualified(table), mariadb=self.server.is_mariadb(connection))

    def list_tables(self, connection: Connection, schema: str | None = None) -> list[str]:
        """List the tables of a database, sorted, without views and staging tables."""
        return _listed(connection, schema, _TABLE_TYPES)

    def list_views(self, connection: Connection) -> list[str]:
        """List the views of the default database, sorted."""
        return _listed(connection, None, ("VIEW",))

    def find_dependents(self, connection: Connection, table: Table) -> tuple[Dependent, ...]:
        """See :func:`.dependents.find_dependents`."""
        return find_dependents(connection, table)

    def logical_type(self, column: Column) -> LogicalType:
        """Return the type of a column; see :func:`.text.logical_type`."""
        return logical_type(column)

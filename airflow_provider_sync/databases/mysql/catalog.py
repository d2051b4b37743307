"""What information_schema of MySQL and MariaDB says about a table, as :mod:`~airflow_provider_sync.databases.schema` has it.

Nothing here reads a row. SQLAlchemy's inspector does not tell invisible columns, prefix indexes, JSON on MariaDB or triggers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import groupby
from typing import Any

import msgspec
import sqlalchemy
from sqlalchemy import Connection, bindparam, text
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.contract.catalog import Catalog
from airflow_provider_sync.databases.dependents import Dependent
from airflow_provider_sync.databases.found_details import FoundDetails
from airflow_provider_sync.databases.mysql.dependents import find_dependents
from airflow_provider_sync.databases.mysql.errors import (
    NO_COLUMN_PRIVILEGE,
    error_number,
)
from airflow_provider_sync.databases.mysql.server import Server
from airflow_provider_sync.databases.mysql.table_details import table_comment, table_details
from airflow_provider_sync.databases.mysql.text import logical_type
from airflow_provider_sync.databases.schema import STAGING_PREFIX, Column, Kind, Table, UniqueKey
from airflow_provider_sync.exceptions import MissingTableError, TableError
from airflow_provider_sync.protocol.v2.types import LogicalType

_KINDS = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint"), Kind.INTEGER),
    "decimal": Kind.DECIMAL,
    "float": Kind.FLOAT,
    "double": Kind.DOUBLE,
    "char": Kind.CHAR,
    **dict.fromkeys(("varchar", "tinytext", "text", "mediumtext", "longtext"), Kind.TEXT),
    "enum": Kind.ENUM,
    "set": Kind.SET,
    "json": Kind.JSON,
    "uuid": Kind.UUID,
    "date": Kind.DATE,
    "time": Kind.TIME,
    "datetime": Kind.DATETIME,
    "timestamp": Kind.TIMESTAMP,
    "year": Kind.YEAR,
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"), Kind.BINARY),
    "bit": Kind.BIT,
    **dict.fromkeys(("geometry", "point", "linestring", "polygon"), Kind.GEOMETRY),
    **dict.fromkeys(("multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection"), Kind.GEOMETRY),
}

_TABLE_TYPES = ("BASE TABLE", "SYSTEM VERSIONED")
_SIZES = re.compile(r"\w+\((\d+)")
_JSON_CHECK = re.compile(r"json_valid\(`(.*)`\)", re.IGNORECASE)

_TABLES = text(
    "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, CREATE_OPTIONS, (SELECT TRANSACTIONS FROM information_schema.ENGINES"
    " WHERE ENGINES.ENGINE = TABLES.ENGINE) AS TRANSACTIONAL FROM information_schema.TABLES"
    " WHERE TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND TABLE_NAME = :name"
)
_COLUMNS = text(
    "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION,"
    " NUMERIC_SCALE, DATETIME_PRECISION, CHARACTER_SET_NAME, COLLATION_NAME, EXTRA, GENERATION_EXPRESSION"
    " FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = :schema AND TABLE_NAME = :name ORDER BY ORDINAL_POSITION"
)
_INDEXES = text(
    "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS"
    " WHERE TABLE_SCHEMA = :schema AND TABLE_NAME = :name AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX"
)
_TRIGGERS = text(
    "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS"
    " WHERE EVENT_OBJECT_SCHEMA = :schema AND EVENT_OBJECT_TABLE = :name ORDER BY TRIGGER_NAME"
)
_PARTITIONS = text(
    "SELECT COALESCE(SUBPARTITION_NAME, PARTITION_NAME) FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = :schema"
    " AND TABLE_NAME = :name ORDER BY PARTITION_ORDINAL_POSITION, SUBPARTITION_ORDINAL_POSITION"
)
_CHECKS = text(
    "SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = :schema AND TABLE_NAME = :name"
)
# Only this database is searched: to find references from others, the server would open every table that it has, which
# takes long, and MariaDB 10.11 crashed over one that was dropped meanwhile.
_REFERENCES = text(
    "SELECT 1 FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = :schema"
    " AND ((TABLE_NAME = :name AND REFERENCED_TABLE_NAME IS NOT NULL)"
    " OR (REFERENCED_TABLE_SCHEMA = :schema AND REFERENCED_TABLE_NAME = :name)) LIMIT 1"
)
_LIST = text(
    "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND TABLE_TYPE IN :types"
).bindparams(bindparam("types", expanding=True))


class MySQLTable(Table, frozen=True, kw_only=True):
    """A table, with what decides how MySQL scans and indexes it.

    :ivar storage_engine: ``InnoDB``, or another one, whose scans follow no key
    :ivar partitions: the partitions, or their subpartitions, in the order of a scan, which goes from one to the next; empty where
        the table is in one piece
    :ivar prefixes: characters or bytes that the PRIMARY KEY indexes, by column, where it does not index all of them
    :ivar temporary: whether it was made to end with its connection
    """

    storage_engine: str = "InnoDB"
    partitions: tuple[str, ...] = ()
    prefixes: Mapping[str, int] = msgspec.field(default_factory=dict)
    temporary: bool = False

    @property
    def keeps_key_order(self) -> bool:
        """Whether a scan of the table, or of one of its partitions, follows its primary key."""
        return self.storage_engine.lower() == "innodb"


def describe_table(connection: Connection, name: str, *, mariadb: bool, views: bool = False) -> MySQLTable:
    """Describe the table called ``name``: as it stands, or split at its first dot into database and table.

    :param mariadb: whether the server is MariaDB
    :param views: whether a view will do
    :raises MissingTableError: when there is no such table
    :raises TableError: when it is a view and views are not allowed, a sequence or something else that is no table
    """
    schema, found = _find(connection, name)
    is_view = found.TABLE_TYPE == "VIEW"
    if found.TABLE_TYPE not in _TABLE_TYPES and not (views and is_view):
        raise TableError(f"{name!r} is not a table but a {found.TABLE_TYPE.lower()}. Only tables can be synchronised.")
    key = {"schema": found.TABLE_SCHEMA, "name": found.TABLE_NAME}
    checked = _json_columns(connection, key) if mariadb else frozenset()
    found_columns = tuple(_column(row, checked) for row in connection.execute(_COLUMNS, key))
    if is_view and not found_columns:
        raise TableError(f"The view {name!r} has no columns that this user sees. Does it refer to something that is gone?")
    # MariaDB adds the end of a row's version to each unique key, so that a key has any number of former versions.
    system = {column.name for column in found_columns if column.system}
    primary_key: tuple[str, ...] = ()
    prefixes: dict[str, int] = {}
    unique_keys = []
    for index, parts in groupby(connection.execute(_INDEXES, key), key=lambda part: part.INDEX_NAME):
        columns = [part for part in parts if part.COLUMN_NAME not in system]
        if index == "PRIMARY":
            primary_key = tuple(part.COLUMN_NAME for part in columns)
            prefixes = {part.COLUMN_NAME: int(part.SUB_PART) for part in columns if part.SUB_PART}
        elif all(part.COLUMN_NAME and not part.SUB_PART for part in columns):
            # Keys over prefixes and expressions are left to the server: a conflict there is an error of the merge.
            unique_keys.append(UniqueKey(name=index, columns=tuple(part.COLUMN_NAME for part in columns)))
    return MySQLTable(
        name=found.TABLE_NAME,
        schema=schema,
        columns=found_columns,
        primary_key=primary_key,
        unique_keys=tuple(unique_keys),
        foreign_keys=connection.execute(_REFERENCES, key).first() is not None,
        triggers=tuple(connection.execute(_TRIGGERS, key).scalars()),
        storage_engine=found.ENGINE or "",
        partitions=_partitions(connection, key) if "partitioned" in (found.CREATE_OPTIONS or "") else (),
        prefixes=prefixes,
        is_view=is_view,
        cannot_roll_back=None if found.TRANSACTIONAL == "YES" else found.ENGINE or "an unknown storage engine",
    )


def list_tables(connection: Connection, schema: str | None, types: tuple[str, ...] = _TABLE_TYPES) -> list[str]:
    """Name the tables of a database, or of the default one, sorted; views and staging tables are left out.

    :param types: as information_schema calls them
    """
    names = connection.execute(_LIST, {"schema": schema, "types": types}).scalars()
    return sorted(name for name in names if not name.startswith(STAGING_PREFIX))


def lock_key(connection: Connection, name: str) -> str:
    """Return database and name of a table, or of the one that would be made under this name."""
    try:
        _, found = _find(connection, name)
    except MissingTableError:
        schema, dot, table = name.partition(".")
        if not (dot and schema and table):
            schema, table = "", name
        schema = schema or str(connection.execute(text("SELECT DATABASE()")).scalar())
        return f"{schema}\0{table}"
    return f"{found.TABLE_SCHEMA}\0{found.TABLE_NAME}"


def _find(connection: Connection, name: str) -> tuple[str | None, sqlalchemy.Row[Any]]:
    schema, dot, table = name.partition(".")
    candidates: list[tuple[str | None, str]] = [(None, name)]
    if dot:
        candidates.append((schema, table))
    for schema_name, table_name in candidates:
        found = connection.execute(_TABLES, {"schema": schema_name, "name": table_name}).first()
        if found is not None:
            return None if schema_name is None else found.TABLE_SCHEMA, found
    database = connection.execute(text("SELECT DATABASE()")).scalar()
    where = f"in database {database!r}" if database else "and the connection names no database"
    raise MissingTableError(f"There is no table {name!r} {where}. Check its name and the privileges of the user.")


def _partitions(connection: Connection, key: dict[str, str]) -> tuple[str, ...]:
    return tuple(connection.execute(_PARTITIONS, key).scalars())


def _json_columns(connection: Connection, key: dict[str, str]) -> frozenset[str]:
    """Name the columns that MariaDB checks to be JSON: its type JSON is a LONGTEXT with such a check."""
    matches = (_JSON_CHECK.fullmatch(clause) for clause in connection.execute(_CHECKS, key).scalars())
    return frozenset(match[1].replace("``", "`") for match in matches if match)


def _column(row: sqlalchemy.Row[Any], json_columns: Collection[str]) -> Column:
    kind = Kind.JSON if row.COLUMN_NAME in json_columns else _KINDS.get(row.DATA_TYPE, Kind.OTHER)
    # "DEFAULT_GENERATED" is another thing: a default that is an expression.
    generated = bool(row.GENERATION_EXPRESSION) or "VIRTUAL GENERATED" in row.EXTRA or "STORED GENERATED" in row.EXTRA
    nullable = row.IS_NULLABLE == "YES"
    numeric = kind in (Kind.DECIMAL, Kind.FLOAT, Kind.DOUBLE)
    zerofill = "zerofill" in row.COLUMN_TYPE
    width = _SIZES.match(row.COLUMN_TYPE) if zerofill and kind is Kind.INTEGER else None
    return Column(
        name=row.COLUMN_NAME,
        kind=kind,
        sql_type=row.COLUMN_TYPE,
        nullable=nullable,
        precision=int(width[1]) if width else row.NUMERIC_PRECISION if numeric else None,
        scale=row.NUMERIC_SCALE if numeric else row.DATETIME_PRECISION,
        length=row.NUMERIC_PRECISION if kind is Kind.BIT else row.CHARACTER_MAXIMUM_LENGTH,
        unsigned="unsigned" in row.COLUMN_TYPE and (numeric or kind is Kind.INTEGER),
        zerofill=zerofill and (numeric or kind is Kind.INTEGER),
        charset=row.CHARACTER_SET_NAME,
        collation=row.COLLATION_NAME,
        generated=generated,
        invisible="INVISIBLE" in row.EXTRA,
        system=row.GENERATION_EXPRESSION in ("ROW START", "ROW END"),
        required=not (nullable or generated or "auto_increment" in row.EXTRA or row.COLUMN_DEFAULT is not None),
    )


class MySQLCatalog(Catalog):
    """What information_schema says."""

    def __init__(self, database: Database, server: Server) -> None:
        super().__init__(database)
        self.server = server

    def describe(self, connection: Connection, name: str, *, views: bool = False) -> Table:
        """Describe the table called ``name``: as it stands, or split at its first dot into database and table."""
        return describe_table(connection, name, mariadb=self.server.is_mariadb(connection), views=views)

    def sees_all_columns(self, connection: Connection, table: Table) -> bool:
        """Ask for all: columns without a privilege are in no list, and are an error here."""
        try:
            connection.exec_driver_sql(f"SELECT * FROM {self.relation(table)} AS t LIMIT 0").all()
        except SQLAlchemyError as error:
            if error_number(error) in NO_COLUMN_PRIVILEGE:
                return False
            raise
        return True

    def table_comment(self, connection: Connection, table: Table) -> str | None:
        """See :func:`.table_details.table_comment`."""
        return table_comment(connection, table)

    def table_details(self, connection: Connection, table: Table) -> FoundDetails:
        """See :func:`.table_details.table_details`."""
        return table_details(connection, table, self.qualified(table), mariadb=self.server.is_mariadb(connection))

    def list_tables(self, connection: Connection, schema: str | None = None) -> list[str]:
        """Name the tables of a database, sorted; views and staging tables are left out."""
        return list_tables(connection, schema)

    def list_views(self, connection: Connection) -> list[str]:
        """Name the views of the default database, sorted."""
        return list_tables(connection, None, ("VIEW",))

    def find_dependents(self, connection: Connection, table: Table) -> tuple[Dependent, ...]:
        """See :func:`.dependents.find_dependents`."""
        return find_dependents(connection, table)

    def logical_type(self, column: Column) -> LogicalType:
        """Return the type of a column; see :func:`.text.logical_type`."""
        return logical_type(column)

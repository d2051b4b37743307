"""Read the indexes, foreign keys, defaults and comments of a table of MySQL or MariaDB."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.found_details import ACTIONS, FoundDetails, FoundForeignKey, read_defaults
from airflow_provider_sync.databases.mysql.errors import NO_TABLE_PRIVILEGE, error_number
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.protocol.v2.described_details import IndexDescription

_COLUMNS = text(
    "SELECT COLUMN_NAME, COLUMN_DEFAULT, EXTRA, COLUMN_COMMENT FROM information_schema.COLUMNS"
    " WHERE TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND TABLE_NAME = :name ORDER BY ORDINAL_POSITION"
)
_COMMENT = text(
    "SELECT TABLE_COMMENT FROM information_schema.TABLES"
    " WHERE TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND TABLE_NAME = :name"
)
_INDEXES = text(
    "SELECT INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART, COLLATION, INDEX_TYPE FROM information_schema.STATISTICS"
    " WHERE TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND TABLE_NAME = :name AND INDEX_NAME <> 'PRIMARY'"
    " ORDER BY INDEX_NAME, SEQ_IN_INDEX"
)
_FOREIGN_KEYS = text(
    "SELECT k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME,"
    " r.DELETE_RULE, r.UPDATE_RULE FROM information_schema.KEY_COLUMN_USAGE AS k"
    " LEFT JOIN information_schema.REFERENTIAL_CONSTRAINTS AS r ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA"
    " AND r.TABLE_NAME = k.TABLE_NAME AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME"
    " WHERE k.TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND k.TABLE_NAME = :name AND k.REFERENCED_TABLE_NAME IS NOT NULL"
    " ORDER BY k.CONSTRAINT_NAME, k.ORDINAL_POSITION"
)
_SORTED = frozenset({"BTREE", "HASH"})
_ACTION = "NO ACTION|RESTRICT|CASCADE|SET NULL|SET DEFAULT"
_WRITTEN_KEY = re.compile(
    rf" *CONSTRAINT `((?:[^`]|``)*)` FOREIGN KEY .*?(?: ON DELETE ({_ACTION}))?(?: ON UPDATE ({_ACTION}))?,?", re.DOTALL
)


def table_details(connection: Connection, table: Table, qualified: str, *, mariadb: bool) -> FoundDetails:
    """Return the details of a table besides columns and key.

    :param qualified: the table's quoted name
    :param mariadb: whether the server is MariaDB, which reports literal defaults as SQL; MySQL reports them without quotes
    """
    key = {"schema": table.schema, "name": table.name}
    columns = connection.execute(_COLUMNS, key).all()
    generated = {column.name for column in table.columns if column.generated or column.system}
    defaults, untold = read_defaults(
        (row.COLUMN_NAME, _as_sql(row.COLUMN_DEFAULT, row.EXTRA, mariadb=mariadb))
        for row in columns
        if row.COLUMN_NAME not in generated
    )
    indexes = []
    for name, group in groupby(connection.execute(_INDEXES, key).all(), key=lambda row: row.INDEX_NAME):
        parts = list(group)
        if parts[0].INDEX_TYPE not in _SORTED or any(not part.COLUMN_NAME or part.SUB_PART for part in parts):
            kind = parts[0].INDEX_TYPE
            reason = "over a prefix or an expression" if kind in _SORTED else f"which is {kind}"
            untold.append((None, f"index {name!r}, {reason}"))
            continue
        indexes.append(
            IndexDescription(
                name=name,
                columns=tuple(part.COLUMN_NAME for part in parts),
                descending=tuple(part.COLUMN_NAME for part in parts if part.COLLATION == "D"),
                unique=not parts[0].NON_UNIQUE,
            )
        )
    foreign_keys = tuple(_foreign_keys(connection, key, qualified))
    if mariadb and not (foreign_keys or table.is_derived) and not _shows_definition(connection, qualified):
        untold.append((None, "foreign keys, which the server's user may not see, since it has privileges on columns only"))
    return FoundDetails(
        indexes=tuple(indexes),
        foreign_keys=foreign_keys,
        defaults=defaults,
        comments={row.COLUMN_NAME: row.COLUMN_COMMENT for row in columns if row.COLUMN_COMMENT},
        comment=table_comment(connection, table),
        untold=tuple(untold),
    )


def table_comment(connection: Connection, table: Table) -> str | None:
    """Return the comment of a table; ``None`` if it has none."""
    return connection.execute(_COMMENT, {"schema": table.schema, "name": table.name}).scalar() or None


def _as_sql(default: str | None, extra: str, *, mariadb: bool) -> str | None:
    if default is None or mariadb or "DEFAULT_GENERATED" in extra:
        return default
    return "'" + default.replace("'", "''") + "'"


def _foreign_keys(connection: Connection, key: dict[str, str | None], qualified: str) -> Iterator[FoundForeignKey]:
    own = key["schema"] or connection.execute(text("SELECT DATABASE()")).scalar()
    rows = connection.execute(_FOREIGN_KEYS, key).all()
    # MariaDB hides the rows of REFERENTIAL_CONSTRAINTS from a user who may only read the table.
    written = _written_actions(connection, qualified) if any(row.DELETE_RULE is None for row in rows) else {}
    for name, group in groupby(rows, key=lambda row: row.CONSTRAINT_NAME):
        parts = list(group)
        schema = parts[0].REFERENCED_TABLE_SCHEMA
        on_delete, on_update = written.get(name) or (parts[0].DELETE_RULE, parts[0].UPDATE_RULE)
        yield FoundForeignKey(
            name=name,
            columns=tuple(part.COLUMN_NAME for part in parts),
            parent_schema=None if schema == own else schema,
            parent=parts[0].REFERENCED_TABLE_NAME,
            parent_columns=tuple(part.REFERENCED_COLUMN_NAME for part in parts),
            on_delete=ACTIONS.get(on_delete, "NO ACTION"),
            on_update=ACTIONS.get(on_update, "NO ACTION"),
        )


def _shows_definition(connection: Connection, qualified: str) -> bool:
    """Whether the user may see the table's definition; if not, MariaDB also hides its foreign keys."""
    try:
        connection.exec_driver_sql(f"SHOW CREATE TABLE {qualified}").all()
    except SQLAlchemyError as error:
        if error_number(error) in NO_TABLE_PRIVILEGE:
            return False
        raise
    return True


def _written_actions(connection: Connection, qualified: str) -> dict[str, tuple[str, str]]:
    """Return the ON DELETE and ON UPDATE actions of foreign keys in SHOW CREATE TABLE, by name."""
    _, statement = connection.exec_driver_sql(f"SHOW CREATE TABLE {qualified}").one()
    matches = map(_WRITTEN_KEY.fullmatch, statement.splitlines())
    # A missing action means RESTRICT.
    return {match[1].replace("``", "`"): (match[2] or "RESTRICT", match[3] or "RESTRICT") for match in matches if match}

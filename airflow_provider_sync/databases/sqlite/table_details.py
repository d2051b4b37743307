"""Read the indexes, foreign keys and defaults of a table of SQLite, which has no comments."""

from __future__ import annotations

from itertools import groupby

from sqlalchemy import Connection

from airflow_provider_sync.databases.found_details import ACTIONS, FoundDetails, FoundForeignKey, read_defaults
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.protocol.v2.described_details import IndexDescription

_COLUMNS = "SELECT name, dflt_value FROM pragma_table_xinfo(?, ?) WHERE hidden = 0"
_INDEXES = "SELECT name, \"unique\", partial FROM pragma_index_list(?, ?) WHERE origin <> 'pk' ORDER BY seq"
_INDEX = 'SELECT cid, name, "desc" FROM pragma_index_xinfo(?, ?) WHERE key ORDER BY seqno'
_FOREIGN_KEYS = 'SELECT id, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?, ?) ORDER BY id DESC, seq'


def table_details(connection: Connection, table: Table) -> FoundDetails:
    """Return the details of a table besides columns and key."""
    schema = table.schema or "main"
    defaults, untold = read_defaults(
        (name, default) for name, default in connection.exec_driver_sql(_COLUMNS, (table.name, schema)).fetchall()
    )
    indexes = []
    for number, (name, unique, partial) in enumerate(connection.exec_driver_sql(_INDEXES, (table.name, schema)).fetchall()):
        parts = connection.exec_driver_sql(_INDEX, (name, schema)).fetchall()
        if partial or any(cid < 0 for cid, _, _ in parts):
            untold.append((None, f"index {name!r}, which has a condition or an expression"))
            continue
        # The name of a constraint's index is reserved, so use another one.
        plain = f"unique_{number}" if name.startswith("sqlite_autoindex") else name
        indexes.append(
            IndexDescription(
                name=plain,
                columns=tuple(column for _, column, _ in parts),
                descending=tuple(column for _, column, descending in parts if descending),
                unique=bool(unique),
            )
        )
    return FoundDetails(
        indexes=tuple(indexes), foreign_keys=tuple(_foreign_keys(connection, table)), defaults=defaults, untold=tuple(untold)
    )


def _foreign_keys(connection: Connection, table: Table) -> list[FoundForeignKey]:
    found = []
    rows = connection.exec_driver_sql(_FOREIGN_KEYS, (table.name, table.schema or "main")).fetchall()
    for number, group in groupby(rows, key=lambda row: row[0]):
        parts = list(group)
        _, parent, _, _, on_update, on_delete = parts[0]
        columns = tuple(row[2] for row in parts)
        # A foreign key without column names refers to the parent's primary key.
        parent_columns = tuple(row[3] for row in parts if row[3]) or _primary_key(connection, table.schema or "main", parent)
        if len(parent_columns) == len(columns):
            found.append(
                FoundForeignKey(
                    name=f"{table.name}_fk_{number}",
                    columns=columns,
                    parent_schema=None,
                    parent=parent,
                    parent_columns=parent_columns,
                    on_delete=ACTIONS.get(on_delete, "NO ACTION"),
                    on_update=ACTIONS.get(on_update, "NO ACTION"),
                )
            )
    return found


def _primary_key(connection: Connection, schema: str, parent: str) -> tuple[str, ...]:
    rows = connection.exec_driver_sql(
        "SELECT name FROM pragma_table_xinfo(?, ?) WHERE pk ORDER BY pk", (parent, schema)
    ).fetchall()
    return tuple(row[0] for row in rows)

"""Find the columns that change values as they store them: their rows differ after each sync, so a retry does not help.

Loading refuses values that a column cannot hold. The changes found here were silent, for example by a collation, a character set
or a type that normalizes values.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.table_slice import Key, TableSlice
from airflow_provider_sync.exceptions import NOTHING_CHANGED, SourceChangedError, TableError
from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.protocol.v2.messages import GetRows
from airflow_provider_sync.sync.tables.version2.compared_segments import ComparedSegments
from airflow_provider_sync.sync.tables.version2.plan import MAX_ROUNDS

MAX_LOOKED_AT = 20
"""Maximum number of rows whose values are compared to find the columns."""


def refuse_unkept_values(
    client: SyncClient,
    database: Database,
    connection: Connection,
    compared: ComparedSegments,
    table_slice: TableSlice,
    keys: Collection[Key],
) -> None:
    """Compare values at the source and in the staging table, and raise the reason why rows do not have the announced digests.

    :param table_slice: the staging table
    :param keys: keys of rows whose announced digest stayed the same, but whose staged digest differs; if empty, nothing is done
    :raises TableError: naming the columns that do not keep their values
    :raises SourceChangedError: if the source sends rows other than it announces
    """
    if not keys:
        return
    looked_at = sorted(keys)[:MAX_LOOKED_AT]
    width, places = len(table_slice.columns), [table_slice.columns.index(column) for column in table_slice.key]
    requested_slice = compared.without_window
    with client.get_rows(GetRows(table_slice=requested_slice, keys=tsv.encode_keys(looked_at).decode()), columns=width) as answer:
        sent = _by_key((rows.data for rows in answer), width, places)
    staged = _by_key((lines for _, lines in database.reader.read_text(connection, table_slice, looked_at)), width, places)
    asked = {tuple(value.encode() for value in key) for key in looked_at}
    lost = (sent.keys() & asked) - staged.keys()
    pairs = [
        (number, *values)
        for key in sent.keys() & staged.keys()
        for number, values in enumerate(zip(sent[key], staged[key], strict=True))
    ]
    changed = {number for number, source_value, kept in pairs if source_value != kept}
    nulls = {number for number, source_value, kept in pairs if source_value is None and kept is not None}
    columns = [table_slice.columns[number] for number in sorted(changed)] or (list(table_slice.key) if lost else [])
    if not columns:
        raise SourceChangedError(
            f"Table {compared.target.name!r}: the source sent other rows than it announced, {MAX_ROUNDS} times in a row"
            f" ({len(keys)} rows).",
            NOTHING_CHANGED,
        )
    names = ", ".join(f"{column.column.name!r} ({column.column.sql_type})" for column in columns)
    remedy = _remedy(nulls=bool(nulls), others=changed != nulls or not changed)
    raise TableError(
        f"Table {compared.target.name!r}: the target does not keep all values of {names} as the source has them, so that rows"
        f" differ after each sync. {remedy}, or leave it out with 'columns'.",
        NOTHING_CHANGED,
    )


def _remedy(*, nulls: bool, others: bool) -> str:
    """Return what to do about columns that do not keep NULL, other values, or both."""
    type_or_text = "change the column's type, character set or collation"
    if not nulls:
        return type_or_text.capitalize()
    # MariaDB loads the present time for NULL into a TIMESTAMP that is NOT NULL.
    allow_null = "The source has NULL there: let the target's column be NULL"
    return f"{allow_null}, {type_or_text}" if others else allow_null


def _by_key(blocks: Iterable[bytes], width: int, places: list[int]) -> dict[tuple[bytes | None, ...], tuple[bytes | None, ...]]:
    rows = (row for block in blocks for row in tsv.decode_rows(block, width))
    return {tuple(row[place] for place in places): row for row in rows}

"""Find columns that target and source compute differently: no sync can make such tables equal, so a retry does not help."""

from __future__ import annotations

from itertools import islice

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.table_slice import Key, TableSlice
from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.protocol.v2.messages import ONE_SEGMENT
from airflow_provider_sync.sync.tables.staged_rows import computes_otherwise

_SAMPLE = 100
"""Maximum number of differing rows whose values are compared."""

_BATCHES = 40
"""Maximum number of row batches to search for them; few are enough, since such a column differs in nearly every row."""


def refuse_other_values(
    database: Database, connection: Connection, table_slice: TableSlice, staging: Table, *, name: str
) -> None:
    """Raise an error if target and source compute columns of merged rows differently; called if digests differ after a merge.

    :param table_slice: slice of the target, inside the merge's transaction
    :param staging: the rows as the source sent them
    :param name: name of the table, for the message
    :raises TableError: if there are such columns, naming them
    """
    if not any(column.column.generated for column in table_slice.columns):
        return
    table_slice = table_slice.unwindowed
    sent = msgspec.structs.replace(table_slice, table=staging, key_range=None)
    keys = _differing_keys(database, connection, table_slice, sent)
    here, there = (_texts(database, connection, rows, keys) for rows in (table_slice, sent))
    differing = {
        column.column.name
        for key in keys
        if key in here and key in there
        for column, own, other in zip(table_slice.columns, here[key], there[key], strict=True)
        if own != other and column.column.generated
    }
    if differing:
        raise computes_otherwise(name, differing)


def _differing_keys(database: Database, connection: Connection, table_slice: TableSlice, sent: TableSlice) -> list[Key]:
    """Return the keys of some rows that differ from those sent."""
    # Read to the end before the next statement: a connection to MySQL has one result at a time.
    batches = islice(database.digests.digest_rows(connection, sent, ONE_SEGMENT, ((0, 0),)), _BATCHES)
    digests = {key: digest for batch in batches for key, digest in batch}
    found = {
        key: digest for batch in database.digests.digest_keys(connection, table_slice, list(digests)) for key, digest in batch
    }
    return [key for key, digest in digests.items() if found.get(key) != digest][:_SAMPLE]


def _texts(
    database: Database, connection: Connection, table_slice: TableSlice, keys: list[Key]
) -> dict[Key, tuple[str | None, ...]]:
    """Return the canonical texts of rows by their keys."""
    places = [table_slice.columns.index(column) for column in table_slice.key]
    found = {}
    for _, block in database.reader.read_text(connection, table_slice, keys) if keys else ():
        for row in tsv.decode_rows(block, len(table_slice.columns)):
            texts = tuple(None if field is None else field.decode() for field in row)
            found[tuple(texts[place] or "" for place in places)] = texts
    return found

"""Run the statements of a client's first requests on one row of a table, for a check without a client."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.protocol.v2.messages import DIGESTS, ONE_SEGMENT, SHA256, RequestedSlice
from airflow_provider_sync.server.tables.open_table import OpenTable
from airflow_provider_sync.server.tables.slice_resolution import choose_partitioning, resolve_slice


def try_first_request(opened: OpenTable) -> None:
    """Describe, digest and read one row of a table, with the statements that are normally run for all rows.

    The uniqueness of the key is not checked, and the table is not scanned.

    :param opened: the table, inside the block that opened it and that translates the database's errors
    :raises SyncError: if the database refuses a statement
    """
    database, connection = opened.database, opened.connection
    table_slice = resolve_slice(opened, RequestedSlice(name=opened.source.name))
    names = ", ".join(database.queries.name(column.column) for column in table_slice.columns)
    one_row = f"SELECT {names} FROM {database.undoubled(database.relation(opened.table))} AS t LIMIT 1"
    table_slice = msgspec.structs.replace(table_slice, table=msgspec.structs.replace(opened.table, query=one_row))
    rows = database.digests.estimate_rows(connection, table_slice)
    choose_partitioning(opened, table_slice, rows, database.digests.schemes)
    known = database.digests.probes(connection)
    for digest in dict.fromkeys([SHA256, *(name for name in DIGESTS if name in known)]):
        database.digests.digest_segments(connection, msgspec.structs.replace(table_slice, digest=digest), ONE_SEGMENT)
    for _ in database.reader.read_text(connection, table_slice, None):
        pass

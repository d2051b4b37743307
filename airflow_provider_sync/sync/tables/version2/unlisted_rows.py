"""Rows of a target that a merge leaves alone: only a trigger, or another session, changes them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.digests import Digests
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.table_slice import TableSlice
from airflow_provider_sync.protocol.v2.messages import ONE_SEGMENT
from airflow_provider_sync.sync.tables.version2.segment_digests import SegmentDigests, digest_by_segment, subtract_segments


def digest_unlisted(digests: Digests, connection: Connection, table_slice: TableSlice, listed: Iterable[Table]) -> SegmentDigests:
    """Digest the rows of a target whose keys are in none of the ``listed`` tables.

    :param listed: tables of rows to write, and of keys to delete; no key is in two of them
    """
    found = digests.digest_segments(connection, table_slice, ONE_SEGMENT)
    for table in listed:
        keys = msgspec.structs.replace(table_slice, table=table, columns=table_slice.key, window=None)
        batches = list(digests.digest_rows(connection, keys, ONE_SEGMENT, ((0, 0),)))
        written = digests.digest_keys(connection, table_slice, [key for batch in batches for key, _ in batch])
        found = subtract_segments(found, digest_by_segment(ONE_SEGMENT, (row for batch in written for row in batch)))
    return found

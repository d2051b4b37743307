"""Request the source's segment digests, with a digest function that both databases support."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.table_slice import SegmentDigest
from airflow_provider_sync.exceptions import NOTHING_CHANGED, SourceChangedError
from airflow_provider_sync.protocol.v2.messages import SHA256, DescribeTable, Segments
from airflow_provider_sync.sync.tables.version2.compared_segments import ComparedSegments
from airflow_provider_sync.sync.tables.version2.segment_digests import SegmentDigests


def probes_of(client: SyncClient, database: Database) -> dict[str, str]:
    """Return the target database's probes of the digest functions, besides SHA-256, that the server supports."""
    capabilities = client.capabilities()
    if capabilities is None or set(capabilities.digests) <= {SHA256}:
        return {}
    return {name: probe for name, probe in database.probes.items() if name in capabilities.digests}


def read_segments(messages: Iterable[Segments]) -> dict[int, SegmentDigest]:
    """Return the segment digests of messages by segment number."""
    segments: dict[int, SegmentDigest] = {}
    for message in messages:
        digests = map(SegmentDigest, message.counts, message.sums)
        segments.update(zip(message.numbers, digests, strict=True))
    return segments


def digest_source_again(client: SyncClient, database: Database, compared: ComparedSegments) -> SegmentDigests:
    """Request the source's segment digests again. New rows outside of the key range are left to the next sync.

    :raises SourceChangedError: if the source's columns changed
    """
    before, partitioning = compared.described, compared.partitioning
    requested_slice = msgspec.structs.replace(compared.requested_slice, key=())  # compared below, with a retryable error
    if partitioning.scheme == "key_range":
        requested_slice = msgspec.structs.replace(requested_slice, key_range=(partitioning.low, partitioning.high))
    request = DescribeTable(
        table_slice=requested_slice, partitioning=partitioning, schemes=(partitioning.scheme,), probes=probes_of(client, database)
    )
    with client.describe_table(request) as answer:
        described = answer.described
        if (described.columns, described.key, described.digest) != (before.columns, before.key, before.digest):
            raise SourceChangedError(
                f"Table {compared.target.name!r}: the source's columns changed while it was compared.",
                NOTHING_CHANGED,
            )
        return read_segments(answer)

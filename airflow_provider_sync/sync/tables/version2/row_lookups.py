"""Look up rows by key on either side, to find out which exist and their digests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.table_slice import Key
from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.protocol.v2.messages import DIGEST_BYTES, MAX_KEYS, DigestRows, RequestedSlice, RowDigests

if TYPE_CHECKING:
    from airflow_provider_sync.sync.tables.version2.compared_segments import ComparedSegments


def announced_digests(messages: Iterable[RowDigests], key_columns: int) -> dict[Key, int]:
    """Read keys and digests from messages of the wire."""
    announced: dict[Key, int] = {}
    for message in messages:
        data = message.digests
        digests = (int.from_bytes(data[at : at + DIGEST_BYTES]) for at in range(0, len(data), DIGEST_BYTES))
        announced.update(zip(tsv.decode_keys(message.keys, key_columns), digests, strict=True))
    return announced


def keys_at_target(
    database: Database,
    compared: ComparedSegments,
    keys: Sequence[Key],
    connection: Connection | None = None,
    *,
    also_ended: bool = False,
) -> set[Key]:
    """Return which of these rows the target has, inside or outside the window.

    :param connection: the connection to use if no other can see the target's table; ``None`` to open a snapshot
    :param also_ended: whether to find rows that a mode has ended, too
    """
    if not keys:
        return set()
    table_slice = compared.table_slice.unwindowed
    if also_ended:
        every_row = msgspec.structs.replace(table_slice.table, ended_at=None)
        table_slice = msgspec.structs.replace(table_slice, table=every_row)
    with nullcontext(connection) if connection is not None else database.snapshot() as reading:
        return {key for batch in database.digests.digest_keys(reading, table_slice, keys) for key, _ in batch}


def digests_by_key(
    client: SyncClient, compared: ComparedSegments, requested_slice: RequestedSlice, keys: Iterable[Key]
) -> dict[Key, int]:
    """Return the source's digests of the rows with these keys, without keys that it lacks.

    :raises ProtocolError: if it sends other rows
    """
    wanted, announced = list(keys), dict[Key, int]()
    for chunk in in_chunks(wanted):
        request = DigestRows(
            table_slice=requested_slice,
            partitioning=compared.partitioning,
            keys=tsv.encode_keys(chunk).decode(),
            digest=compared.table_slice.digest,
        )
        with client.digest_rows(request) as answer:
            announced |= announced_digests(answer, len(compared.table_slice.key))
    if strange := announced.keys() - set(wanted):
        raise ProtocolError(
            f"Table {compared.target.name!r}: the source answered with {len(strange)} keys that were not asked for."
        )
    return announced


def in_chunks(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    """Split keys into lists that fit into one request."""
    for start in range(0, len(keys), MAX_KEYS):
        yield keys[start : start + MAX_KEYS]

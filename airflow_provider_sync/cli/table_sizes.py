"""Ask a server for the number of rows and the key of each table, or the reason why it cannot offer the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Self

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import SyncError
from airflow_provider_sync.protocol.v2.messages import Described, DescribeTable, DescribeTables, RequestedSlice


class Size(NamedTuple):
    """The part of a table's description that is shown. The descriptions of all tables might not fit into memory."""

    rows: int
    key: Sequence[str]
    columns: int

    @classmethod
    def of(cls, described: Described) -> Self:
        """Extract it from the description of a table."""
        return cls(described.rows, described.key[:_MAX_KEY], len(described.columns))


Found = Mapping[str, Size | str]
"""Sizes of tables, or why they are not known, by name."""

_MAX_KEY = 32
"""Most columns of a key that are shown."""

MAX_KEY_BYTES = 32 * 1024 * 1024
"""Memory limit, in bytes, for the keys of all tables; further tables are shown without a key."""

_BYTES_OF_A_NAME = 64
"""Memory, in bytes, that a name takes besides its characters."""


def describe_tables(client: SyncClient, names: Iterable[str], say: Callable[[str], None] = lambda text: None) -> Found:
    """Request the description of each table; a table that the server cannot describe does not affect the others.

    :param say: called with a description of the next request
    """
    names = list(names)
    say(f"Asking about {len(names)} tables")
    described: dict[str, Size] = {}
    left = MAX_KEY_BYTES
    for name, size in _describe_together(client, names):
        left -= sum(len(column) + _BYTES_OF_A_NAME for column in size.key)
        described[name] = size if left >= 0 else size._replace(key=())
    found: dict[str, Size | str] = {}
    for name in names:
        if name in described:
            found[name] = described[name]
            continue
        say(f"Asking about {name} ({len(found)} of {len(names)} tables done)")
        try:
            request = DescribeTable(table_slice=RequestedSlice(name=name), digests=False)
            with client.describe_table(request) as answer:
                found[name] = Size.of(answer.described)
        except SyncError as error:
            found[name] = str(error)
            if error.retryable:
                break  # the others would get the same answer
    return found


def _describe_together(client: SyncClient, names: Sequence[str]) -> Iterator[tuple[str, Size]]:
    """Request many tables at once; those that are missing in the result are then requested alone, which shows the reason."""
    most = client.tables_per_request
    if not most:
        return
    with suppress(SyncError):
        for start in range(0, len(names), most):
            group = names[start : start + most]
            request = DescribeTables(table_slices=tuple(RequestedSlice(name=name) for name in group), max_rows=0)
            with client.describe_tables(request) as answer:
                yield from ((group[table.number], Size.of(table.described)) for table in answer if table.described is not None)

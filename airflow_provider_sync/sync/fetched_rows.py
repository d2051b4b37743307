"""Rows that version 2 fetched, and what the source announced of them, held against the target before the commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.exceptions import SourceChangedError
from airflow_provider_sync.protocol.v2.messages import Grid
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.differences import Comparison, to_wire
from airflow_provider_sync.sync.download import Download
from airflow_provider_sync.tables.engines.base import Database
from airflow_provider_sync.tables.engines.canonical import SegmentDigest
from airflow_provider_sync.tables.merge import StagedTable
from airflow_provider_sync.tables.reconcile import Key, runs_of


class FetchedRows(Download):
    """Rows of the source, all of them or those that differ.

    :param announced: the source's digests of the fetched rows, by key; ``None`` when all rows were fetched
    :param deleted: keys that go
    """

    protocol = 2

    def __init__(
        self,
        database: Database,
        compared: Comparison,
        staged: StagedTable,
        *,
        received: int = 0,
        announced: Mapping[Key, int] | None = None,
        deleted: Sequence[Key] = (),
    ) -> None:
        super().__init__(compared.target, staged, rows_total=compared.source_rows, rows_received=received)
        self.database = database
        self.compared = compared
        self.announced = announced
        self.deleted = deleted

    def verify(self, connection: Connection) -> Verified | None:
        """Digest what was touched, and compare it with what the source announced.

        Segments of keys are digested as such. Other segments would need a scan of the whole table; there the touched
        keys are looked at, one by one.

        :raises SourceChangedError: when they differ
        """
        by_key = self.announced is not None and self.compared.grid.scheme != "range"
        if not (self._keys_hold(connection) if by_key else self._segments_hold(connection)):
            raise SourceChangedError(
                f"Table {self.target.name!r}: after the merge the target is not what the source announced; one of them"
                " changed meanwhile. Nothing was changed."
            )
        return "digest"

    def doubt(self) -> str | None:
        """Digests leave none."""
        return None

    def _keys_hold(self, connection: Connection) -> bool:
        announced = dict(self.announced or {})
        part = msgspec.structs.replace(self.compared.part, window=None)
        found = self.database.digest_keys(connection, part, [*announced, *self.deleted])
        return {key: to_wire(digest) for batch in found for key, digest in batch} == announced

    def _segments_hold(self, connection: Connection) -> bool:
        compared = self.compared
        touched = compared.differing
        if 2 * sum(compared.source[number].rows for number in touched if number in compared.source) > compared.source_rows:
            found = self.database.digest_segments(connection, compared.part, compared.grid)
        else:
            found = _segments_of_rows(self.database, connection, compared)
        return all(found.get(number) == compared.source.get(number) for number in touched)


def _segments_of_rows(database: Database, connection: Connection, compared: Comparison) -> dict[int, SegmentDigest]:
    """Digest only the touched segments, row by row: they are few."""
    grid = compared.grid
    found: dict[int, SegmentDigest] = {}
    for batch in database.digest_rows(connection, compared.part, grid, runs_of(compared.differing)):
        for key, digest in batch:
            number = _segment_of(int(key[0]), grid)
            held = found.get(number, SegmentDigest(0, 0))
            found[number] = SegmentDigest(held.rows + 1, (held.sum + digest) % 2**64)
    return found


def _segment_of(key: int, grid: Grid) -> int:
    if key < grid.low:
        return -1
    return grid.parts if key > grid.high else (key - grid.low) // grid.width

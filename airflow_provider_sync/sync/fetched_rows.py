"""Rows that version 2 fetched, and what the source announced of them, held against the target before the commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.protocol.v2.messages import Grid
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.computed_columns import refuse_other_values
from airflow_provider_sync.sync.differences import Comparison, ask_segments_again, segment_of, to_wire
from airflow_provider_sync.sync.download import Download, not_as_announced
from airflow_provider_sync.tables.engines.base import Database
from airflow_provider_sync.tables.engines.canonical import SegmentDigest
from airflow_provider_sync.tables.key_ranges import keys_of
from airflow_provider_sync.tables.merge import StagedTable
from airflow_provider_sync.tables.reconcile import Key, runs_of

MOST_RUNS = 16
"""Stretches of segments that are asked for again; where more moved, the sync begins anew."""


class FetchedRows(Download):
    """Rows of the source, all of them or those that differ.

    :param announced: the source's digests of the fetched rows, by key; ``None`` when all rows were fetched, or too many to hold
    :param deleted: keys that go, if ``announced`` is told
    :param deleted_rows: how many rows go, otherwise
    :ivar listed: table of the keys of rows that go; ``None`` where every row goes that is not staged
    :ivar rows_staged: rows in the staging table, those that a failed try left among them
    """

    protocol = 2

    def __init__(
        self,
        client: SyncClient,
        database: Database,
        compared: Comparison,
        staged: StagedTable,
        *,
        received: int = 0,
        announced: Mapping[Key, int] | None = None,
        deleted: Sequence[Key] = (),
        deleted_rows: int = 0,
    ) -> None:
        super().__init__(compared.target, staged, rows_total=compared.source_rows, rows_received=received)
        self.staging = staged.staging
        self.listed = staged.removed
        self.rows_staged = staged.rows
        self.client = client
        self.database = database
        self.compared = compared
        self.announced = announced
        self.deleted = deleted
        self.deleted_rows = len(deleted) or deleted_rows

    @property
    def whole(self) -> bool:
        """Whether all rows of the part were fetched, so that any other goes."""
        return self.listed is None

    def verify(self, connection: Connection) -> Verified | None:
        """Digest what was touched, and compare it with what the source announced.

        Segments of keys are digested as such. Other segments would need a scan of the whole table; there the touched
        keys are looked at, one by one.

        :raises SourceChangedError: when they differ
        :raises TableError: when they differ because the target computes a column otherwise
        """
        by_key = self.announced is not None and self.compared.grid.scheme != "range"
        if not (self._keys_hold(connection) if by_key else self._segments_hold(connection)):
            refuse_other_values(self.database, connection, self.compared.part, self.staging, name=self.target.name)
            raise not_as_announced(self.target.name)
        return "digest"

    def _keys_hold(self, connection: Connection) -> bool:
        announced = dict(self.announced or {})
        part = msgspec.structs.replace(self.compared.part, window=None)
        found = self.database.digest_keys(connection, part, [*announced, *self.deleted])
        return {key: to_wire(digest) for batch in found for key, digest in batch} == announced

    def _segments_hold(self, connection: Connection) -> bool:
        compared = self.compared
        touched = compared.differing
        rows = sum(compared.source[number].rows for number in touched if number in compared.source)
        if compared.grid.scheme != "range" or 2 * rows > compared.source_rows:
            found = self.database.digest_written(connection, compared.part, compared.grid)
        else:
            found = _segments_of_rows(self.database, connection, compared)
        moved = [number for number in touched if found.get(number) != compared.source.get(number)]
        return not moved or self._hold_now(moved, found)

    def _hold_now(self, moved: Sequence[int], found: Mapping[int, SegmentDigest]) -> bool:
        """Ask the source again for segments that are not what it announced: they may have changed before their rows came."""
        grid = self.compared.grid
        if grid.scheme != "range":
            now = ask_segments_again(self.client, self.database, self.compared)
            return all(found.get(number) == now.get(number) for number in moved)
        # The last range may have fewer keys than the others, so that it is asked for by itself.
        last = grid.parts - 1
        runs = [*runs_of(number for number in moved if number < last), *([(last, last)] if last in moved else [])]
        if len(runs) > MOST_RUNS or moved[0] < 0 or moved[-1] > last:
            return False
        return all(self._run_holds(run, found) for run in runs)

    def _run_holds(self, run: tuple[int, int], found: Mapping[int, SegmentDigest]) -> bool:
        first, last = run
        low, high = keys_of(self.compared.grid, run)
        grid = Grid(scheme="range", parts=last - first + 1, low=low or 0, high=high or 0)
        now = ask_segments_again(self.client, self.database, self.compared, grid)
        return all(found.get(first + number) == now.get(number) for number in range(grid.parts))


def _segments_of_rows(database: Database, connection: Connection, compared: Comparison) -> dict[int, SegmentDigest]:
    """Digest only the touched segments, row by row: they are few."""
    grid = compared.grid
    found: dict[int, SegmentDigest] = {}
    for batch in database.digest_rows(connection, compared.part, grid, runs_of(compared.differing)):
        for key, digest in batch:
            number = segment_of(int(key[0]), grid)
            held = found.get(number, SegmentDigest(0, 0))
            found[number] = SegmentDigest(held.rows + 1, (held.sum + digest) % 2**64)
    return found

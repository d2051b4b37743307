"""Compare and download one table by version 1 of the protocol: one hash for the whole table, and all rows or none.

Both steps leave the target as it is: rows land in a staging table beside it. The merge is the same for every version
and belongs to :mod:`.tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter

from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient, TableAnswer
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.exceptions import ConfigurationError, MissingTableError, ServerError, TableError
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.download import Download, Unchanged
from airflow_provider_sync.sync.missing_target import describe_missing
from airflow_provider_sync.sync.target import Selection, Target, select_columns, warnings_of
from airflow_provider_sync.tables.engines.base import Database
from airflow_provider_sync.tables.merge import StagedTable
from airflow_provider_sync.tables.schema import Column, Row
from airflow_provider_sync.tables.staging import Staging
from airflow_provider_sync.tables.table_hash import hash_table, load_hasher

CANNOT_HASH = "The source cannot hash this table, so it was sent whole."


def missing(client: SyncClient, database: Database, options: TargetTable) -> MissingTableError:
    """Return the error for a missing target, with the CREATE TABLE that the source's first rows suggest."""
    return describe_missing(client, database, options)


def differs(client: SyncClient, database: Database, target: Target) -> bool:
    """Whether source and target differ, by asking for the source's hash; nothing is downloaded.

    :raises ServerError: when the source cannot hash the table
    """
    return _hash_target(database, target) != client.get_table_hash(target.name)


def download(
    client: SyncClient,
    database: Database,
    connection: Connection,
    target: Target,
    staging: Staging,
    *,
    on_rows: Callable[[int], None],
    resume: bool = False,  # there is no telling which rows of a failed try are still right
) -> WholeTable | Unchanged:
    """Send the target's hash along, and stage what the source answers.

    :param connection: over which the staging table is made and filled
    :param on_rows: called with the number of rows of each batch
    """
    if target.options.window:
        raise ConfigurationError(
            f"Table {target.name!r}: a window needs version 2 of the protocol; version 1 sends whole tables."
        )
    answer, warnings = _ask(client, target, _hash_target(database, target))
    if answer is None:
        return Unchanged(protocol=1, rows=database.count(connection, target.table), verified="hash")
    with answer:
        batches = iter(answer)
        first = next(batches, [])
        selection = select_columns(target, answer.columns) if first else Selection(columns=target.table.columns)
        hashed = _hashed(target, answer.columns) if first else None
        source_hash = answer.hash
        if hashed is not None and hashed != target.hashed_columns() and not target.options.hasher:
            # Only now the order of the source's columns is known; by it, the target may turn out to be equal.
            source_hash = source_hash or _source_hash(client, target)
            if source_hash is not None and _hash_target(database, target, hashed) == source_hash:
                return Unchanged(protocol=1, rows=database.count(connection, target.table), verified="hash")
        staging.create(connection, target.table, selection.columns, primary_key=target.key, indexes=target.options.import_indexes)
        rows = _Counted(_project(first, batches, selection.positions), on_rows)
        loaded = staging.load(connection, target.table, rows)
    if loaded != rows.count:
        raise TableError(f"Table {target.name!r}: {rows.count} rows came, but {loaded} were staged. Nothing was changed.")
    if hashed is not None and target.options.verify:
        source_hash = source_hash or _source_hash(client, target)
    staged = StagedTable(
        target=target.table,
        staging=staging.table,
        key=target.key,
        columns=tuple(column.name for column in selection.columns),
        rows=loaded,
        verify=target.options.verify,
    )
    return WholeTable(
        database,
        target,
        staged,
        hashed=hashed,
        source_hash=source_hash,
        warnings=(*warnings, *warnings_of(target, selection.columns)),
    )


class WholeTable(Download):
    """All rows of the source.

    :param hashed: the columns that the source hashes as far as its rows show, in its order; ``None`` when a subset was taken
    :param source_hash: the source's hash, where it was told
    """

    protocol = 1

    def __init__(
        self,
        database: Database,
        target: Target,
        staged: StagedTable,
        *,
        hashed: Sequence[Column] | None,
        source_hash: str | None,
        warnings: tuple[str, ...],
    ) -> None:
        super().__init__(target, staged, rows_total=staged.rows, rows_received=staged.rows, warnings=warnings)
        self.database = database
        self.hashed = hashed
        self.source_hash = source_hash
        self.equal = False

    def verify(self, connection: Connection) -> Verified | None:
        """Hash the target as the source hashes its own.

        Different hashes prove nothing: other databases, types or columns hash otherwise though the rows are equal.
        """
        if self.hashed is None or self.source_hash is None or self.target.options.hasher:
            return None
        self.equal = _hash_rows(self.database, connection, self.target, self.hashed) == self.source_hash
        return "hash" if self.equal else None

    def doubt(self) -> str | None:
        """Say why there is no equal hash."""
        if self.equal or not self.staged.rows:
            return None
        if self.hashed is None:
            return "Verified by rows only: the hash of the source covers columns that are not synchronised."
        if self.source_hash is None:
            return "Verified by rows only: the source cannot hash this table."
        return (
            "Verified by rows only: the hashes of source and target differ although the rows are equal, as with other types,"
            " column order or databases on both sides. Each sync will send the whole table."
        )


def _hash_target(database: Database, target: Target, columns: Sequence[Column] | None = None) -> str | None:
    """Hash the target as version 1 does, in one snapshot; ``None`` when it cannot be hashed for want of a primary key."""
    if target.options.hasher:
        return load_hasher(target.options.hasher).hash(database.engine, target.options)
    with database.snapshot() as connection:
        return _hash_rows(database, connection, target, target.hashed_columns() if columns is None else columns)


def _hash_rows(database: Database, connection: Connection, target: Target, columns: Sequence[Column]) -> str | None:
    try:
        database.hash_order(target.table)
    except TableError:
        return None
    return hash_table(database, connection, target.table, columns)


def _ask(client: SyncClient, target: Target, local_hash: str | None) -> tuple[TableAnswer | None, list[str]]:
    """Ask with the hash; where the source fails over it (MySQL 9.6 has no SHA1 for existing servers), ask without."""
    if local_hash is None:
        return client.get_table(target.name), []
    try:
        return client.get_table(target.name, local_hash), []
    except ServerError as error:
        if error.status != 500:
            raise
        return client.get_table(target.name), [CANNOT_HASH]


def _source_hash(client: SyncClient, target: Target) -> str | None:
    """Ask for the source's hash; ``None`` where the source cannot hash the table."""
    try:
        return client.get_table_hash(target.name)
    except ServerError:
        return None


def _hashed(target: Target, source_columns: Sequence[str]) -> tuple[Column, ...] | None:
    """Put the target's columns in the order in which the source hashes its own; ``None`` when only some are synchronised."""
    if target.options.columns:
        return None
    return tuple(target.table.column(target.options.renames.get(name, name)) for name in source_columns)


def _project(first: Sequence[Row], rest: Iterator[Sequence[Row]], positions: Sequence[int] | None) -> Iterator[Sequence[Row]]:
    if positions is None:
        yield first
        yield from rest
        return
    pick = itemgetter(*positions) if len(positions) > 1 else lambda row: (row[positions[0]],)
    yield list(map(pick, first))
    for batch in rest:
        yield list(map(pick, batch))


class _Counted:
    """Batches that are counted as they pass."""

    def __init__(self, batches: Iterator[Sequence[Row]], on_rows: Callable[[int], None]) -> None:
        self._batches = batches
        self._on_rows = on_rows
        self.count = 0

    def __iter__(self) -> Iterator[Sequence[Row]]:
        for batch in self._batches:
            self.count += len(batch)
            self._on_rows(len(batch))
            yield batch

"""Compare and download one table by version 1 of the protocol: one hash for the whole table, and all rows or none.

Neither changes the target: rows go into a staging table. The merge is the same for every version; see :mod:`..guarded_merge`.
"""

from __future__ import annotations

from functools import partial

from airflow_provider_sync.client import SyncClient, TableAnswer
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.table_errors import naming_table
from airflow_provider_sync.databases.version1_hash import zoned_places
from airflow_provider_sync.exceptions import (
    NOTHING_CHANGED,
    ConfigurationError,
    DuplicateKeyError,
    ServerError,
    TableBusyError,
)
from airflow_provider_sync.merge.gone_columns import columns_with_values
from airflow_provider_sync.merge.staging import Staging, TemporaryStaging
from airflow_provider_sync.sync.attempts import Attempts
from airflow_provider_sync.sync.tables.table_source import StagingArea
from airflow_provider_sync.sync.tables.version1.column_mapping import map_sent_columns, version1_warnings
from airflow_provider_sync.sync.tables.version1.hashes import ask_hash, hash_target, hashed_in_order, hashed_orders, names_matter
from airflow_provider_sync.sync.tables.version1.missing_rows import lacks_rows, list_missing
from airflow_provider_sync.sync.tables.version1.source_zone import EQUAL_HASHES, announced_zone, find_zone
from airflow_provider_sync.sync.tables.version1.stage_answer import RepeatedRows, StagedAnswer, stage
from airflow_provider_sync.sync.tables.version1.whole_table import WholeTable

CANNOT_HASH = "The source cannot hash this table, so it was sent whole."

TRIES = 3
"""Maximum number of requests for rows while they cannot be proven to be from one moment; after the last, nothing is deleted."""

_GUESSED = (
    "The source cannot hash this table, so there is no telling whether it changed while it was sent: only rows that two answers"
    " lacked were deleted."
)


def download(client: SyncClient, database: Database, area: StagingArea, *, known_hash: str | None = None) -> WholeTable:
    """Request the rows with the target's hash, and stage the response.

    Existing servers read page by page while others write, so a response may lack existing rows or have some twice. Rows are
    deleted only if the response is proven to be from one moment:

    - this package's server says so;
    - or the hash of its rows is the one that the source sends;
    - or the source sends the same hash before and after it, and the previous response had the same rows. The hashes alone prove
      nothing: rows that are deleted and inserted again in between make pages skip other rows.

    Otherwise the rows are requested again. If the source cannot hash, rows that two responses lack are deleted.

    :param area: its table for removed rows is used only if some missing rows must not be deleted
    :param known_hash: the source's hash at some earlier time
    :raises TableBusyError: if each response had rows twice, and the source changed in the meantime
    """
    refuse_window(area.target.options)
    return _Download(client, database, area).run(known_hash)


def refuse_window(options: TargetTable) -> None:
    """Refuse an option that version 1 does not have.

    :raises ConfigurationError: if there is a window
    """
    if options.window:
        raise ConfigurationError(
            f"Table {options.name!r}: a window needs version 2 of the protocol; version 1 sends whole tables."
        )


class _RepeatedKeyError(Exception):
    """A key occurs twice in a response whose rows may be from several moments."""

    def __init__(self, error: DuplicateKeyError) -> None:
        super().__init__(error)
        self.error = error


class _Download:
    """Requests one table until a response can be merged."""

    def __init__(self, client: SyncClient, database: Database, area: StagingArea) -> None:
        self.client = client
        self.database = database
        self.connection = area.connection
        self.target = area.target
        self.staging = area.rows
        self.removed = area.removed
        self.on_rows = area.on_rows
        self.zone = find_zone(client, database, area.connection, area.target.table)
        self.warnings: list[str] = []
        self.source_hash: str | None = None
        self.earlier: str | None = None  # hash of the rows of the answer before
        self.received = 0
        self.repeats: RepeatedRows | None = None  # after an answer in which a key came twice
        self.equal_hashes = False  # the answer is only to show the names of the source's columns

    def run(self, hash_before: str | None) -> WholeTable:
        """Request the rows until a response can be merged.

        :param hash_before: the source's hash before its first response
        """
        attempts = Attempts(self.client)
        missing = TemporaryStaging(self.database, purpose="missing")  # keys that an earlier answer lacked
        asked = 0
        while True:
            try:
                staged = attempts.run(partial(self._staged_answer, with_hash=asked == 0))
            except _RepeatedKeyError as repeated:
                asked += 1
                self.earlier = None
                hash_before = self._check_moved(repeated.error, hash_before, asked)
                self.repeats = RepeatedRows()
                continue
            if staged is None:
                return self._equal()
            asked += 1
            if staged.hashed is None or staged.one_snapshot:
                return self._whole(staged)
            hashed = staged.hashed.hexdigest()
            if not self.target.options.verify and not self._lacks_rows():
                return self._whole(staged, unproven=hashed)  # saves a request for the hash
            if self._is_proven(staged, hash_before):
                return self._whole(staged)
            if not self._lacks_rows():
                return self._whole(staged, unproven=hashed)
            if self.source_hash is None:
                if missing.created:
                    self.warnings.append(_GUESSED)
                    listed = self._list_missing(self.removed, missing.table)
                    missing.drop(self.connection)
                    return self._whole(staged, listed, unproven=None if hashed == self.earlier else "")
                self._list_missing(missing)
                self.earlier = hashed
                continue
            hash_before, self.earlier = self.source_hash, hashed
            if asked == TRIES:
                return self._whole_without_deletes(staged)

    def _staged_answer(self, *, with_hash: bool) -> StagedAnswer | None:
        """Request the rows, and stage them; ``None`` if the target turns out to be equal.

        :raises _RepeatedKeyError: if a key occurs twice, and the source may have changed while it was read
        """
        self.source_hash = None
        answer = self._ask(with_hash=with_hash)
        self.equal_hashes = answer is None
        if answer is None and names_matter(self.target) and not self.database.reader.is_empty(self.connection, self.target.table):
            answer = self.client.get_table(self.target.name)
        if answer is None:
            return None
        with answer:
            try:
                return self._stage(answer)
            except DuplicateKeyError as error:
                if answer.one_snapshot:
                    raise
                raise _RepeatedKeyError(error) from error

    def _ask(self, *, with_hash: bool) -> TableAnswer | None:
        """Request the rows with the target's hash, or without it after the source failed on it.

        Existing servers fail on it with MySQL 9.6, which has no SHA1.
        """
        name = self.target.name
        if not with_hash:
            return self.client.get_table(name)
        known = hash_target(self.database, self.target, self.zone.zone)
        try:
            answer = self.client.get_table(name, known)
        except ServerError as error:
            if error.status != 500:
                raise
            if CANNOT_HASH not in self.warnings:
                self.warnings.append(CANNOT_HASH)
            return self.client.get_table(name)
        zone = self.client.source_time_zone
        if zone is None or not zoned_places(self.database, self.target.table.columns):
            return answer
        if zone == self.zone.zone:
            self.zone = announced_zone(self.client)
            return answer
        if answer is not None:
            answer.close()
        self.zone = announced_zone(self.client)
        return self.client.get_table(name, hash_target(self.database, self.target, zone))

    def _stage(self, answer: TableAnswer) -> StagedAnswer | None:
        batches = iter(answer)
        first = next(batches, [])
        self.source_hash = answer.hash
        if first and self._is_equal(answer) and not self._forgets(answer):
            return None
        # The hash protects target rows from deletion, and explains conflicts of unique keys.
        table = self.target.table
        hashing = not answer.one_snapshot and (
            bool(table.unique_keys) or not self.database.reader.is_empty(self.connection, table)
        )
        try:
            return stage(
                self.database,
                self.connection,
                self.target,
                self.staging,
                answer,
                first=first,
                rest=batches,
                zone=self.zone,
                hashing=hashing,
                on_rows=self.on_rows,
                repeats=self.repeats,
            )
        finally:
            self.received += answer.rows_received

    def _is_equal(self, answer: TableAnswer) -> bool:
        """Tell whether the target is equal when hashed in the column order of the response, or in another time zone."""
        if self.target.options.hasher:
            return False
        orders, own = hashed_orders(self.target, answer.columns), self.target.hashed_columns()
        if self.equal_hashes and own in orders:
            return True
        zones = [zone for zone in (self.zone.zone, self.zone.other) if zone is not None]
        others = [(order, zone) for zone in zones for order in orders if (order, zone) != (own, self.zone.zone)]
        if not others:
            return False
        self.source_hash = self.source_hash or ask_hash(self.client, self.target)
        if self.source_hash is None:
            return False
        for order, zone in others:
            if hash_target(self.database, self.target, zone, order) == self.source_hash:
                if zone != self.zone.zone:
                    self.zone = self.zone.decided(zone, EQUAL_HASHES)
                return True
        return False

    def _forgets(self, answer: TableAnswer) -> bool:
        """Tell whether the target has values to set to NULL in columns that the source no longer sends."""
        columns = map_sent_columns(self.target, answer.columns).columns
        gone = self.target.gone_columns((column.name for column in columns), protocol=1)
        with naming_table(self.target.name):
            return bool(columns_with_values(self.database, self.connection, self.target.table, gone))

    def _check_moved(self, error: DuplicateKeyError, hash_before: str | None, asked: int) -> str | None:
        """Accept a repeated key if the source may have changed in the meantime, and return the source's hash.

        Its hash may be the same before and after an answer although it changed in between. If a whole row came twice, it did: a
        table with a hash has a primary key.

        :raises DuplicateKeyError: if it did not change, so that several of its rows have the same key in the target
        :raises TableBusyError: if it changed, or may have changed, during each attempt
        """
        now = ask_hash(self.client, self.target)
        same_row_twice = self.repeats is not None and self.repeats.found
        if asked > 1 and now is not None and now == hash_before and not same_row_twice:
            raise error
        if asked == TRIES:
            if now is None:
                raise TableBusyError(
                    f"{error} Or the source changed each of the {TRIES} times that it was read, and sent rows twice: it cannot"
                    " hash this table, so there is no telling. Try again when it is quiet.",
                    NOTHING_CHANGED,
                ) from error
            raise TableBusyError(
                f"Table {self.target.name!r}: the source changed each of {TRIES} times that it was read, and sent rows twice.",
                NOTHING_CHANGED,
                "Try again when it is quiet, or use version 2 on both ends.",
            ) from error
        return now

    def _is_proven(self, staged: StagedAnswer, hash_before: str | None) -> bool:
        """Tell whether the rows are from one moment; request the source's hash unless a known hash proves it."""
        hashed = staged.hashed
        if hashed is None:
            return False
        if self.source_hash is not None and hashed.matches(self.source_hash):
            return True
        if hash_before is not None and hashed.matches(hash_before):
            self.source_hash = hash_before
            return True
        self.source_hash = ask_hash(self.client, self.target)
        if self.source_hash is None:
            return False
        if hashed.matches(self.source_hash):
            return True
        # The hash of a table without rows is always known.
        stood_still = self.source_hash == hash_before and staged.rows > 0
        return stood_still and hashed.hexdigest() == self.earlier

    def _lacks_rows(self) -> bool:
        """Tell whether the target has rows that the response lacks, so that the merge would delete them."""
        return not self.target.mode.keeps_rows and lacks_rows(self.database, self.connection, self.target, self.staging.table)

    def _list_missing(self, listed: Staging, among: Table | None = None) -> Table:
        return list_missing(self.database, self.connection, self.target, self.staging.table, listed, among=among)

    def _equal(self) -> WholeTable:
        return WholeTable(
            self.client,
            self.database,
            self.target,
            None,
            rows=self.database.reader.count(self.connection, self.target.table),
            warnings=(*self.warnings, *self.zone.warnings(self.target.table)),
        )

    def _whole_without_deletes(self, staged: StagedAnswer) -> WholeTable:
        if not staged.rows:
            raise TableBusyError(
                f"Table {self.target.name!r}: the source changed each of the {TRIES} times that it was read, and was empty at"
                " last.",
                NOTHING_CHANGED,
                "Try again when it is quiet.",
            )
        self.removed.drop(self.connection)
        listed = self.removed.create(self.connection, self.target.key_layout)
        self.warnings.append(
            f"The source changed each of the {TRIES} times that it was read, page after page, so rows that are there may be"
            " missing in its answers: no row was deleted. The next run deletes what is gone, once the source is quiet."
        )
        return self._whole(staged, listed, unproven="")

    def _whole(self, staged: StagedAnswer, listed: Table | None = None, *, unproven: str | None = None) -> WholeTable:
        """Return the description of the staged rows.

        :param listed: the keys of the rows to delete; ``None`` for all that are not staged
        :param unproven: see :class:`.WholeTable`
        """
        hashed = hashed_in_order(self.target, staged.source_columns) if staged.source_columns else None
        if hashed is not None and self.target.options.verify:
            self.source_hash = self.source_hash or ask_hash(self.client, self.target)
        table = self.target.staged(
            self.staging.table,
            [column.name for column in staged.columns],
            key=self.target.key,
            rows=staged.rows,
            removed=listed,
            target_rows=self.database.reader.count(self.connection, self.target.table) if listed is not None else 0,
            protocol=1,
        )
        warnings = [
            *self.warnings,
            *version1_warnings(self.target, staged.columns, staged.source_columns),
            *staged.zone.warnings(self.target.table),
        ]
        untyped = [column.name for column in staged.columns if column.sql_type.strip().upper() in ("", "ANY")]
        if untyped and not staged.one_snapshot:
            # This package's server refuses to send blobs of such columns.
            warnings.append(
                f"Column {', '.join(untyped)} of {str(self.target.table)!r} takes any type: version 1 sends blobs as text, and as"
                " such they arrive. Declare the column BLOB where it has any."
            )
        if staged.repeated:
            warnings.append(
                f"Table {str(self.target.table)!r}: {staged.repeated} of its times are in an hour that"
                f" {staged.zone.zone.name} has twice, when summer time ends. Version 1 does not tell which"
                " it is: the first was taken."
            )
        return WholeTable(
            self.client,
            self.database,
            self.target,
            table,
            rows=table.rows,
            received=self.received,
            hashed=hashed,
            source_hash=self.source_hash,
            zone=staged.zone.zone,
            unproven=unproven,
            warnings=tuple(warnings),
        )

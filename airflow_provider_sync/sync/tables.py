"""Keep tables in step: download what differs into staging tables, then merge in one short transaction.

::

    lock ── describe ── hash ── ask ──┬─ 304 ─────────────────────────────── unchanged
                                      └─ rows ── staging ── merge ── verify ── commit

Nothing of a target is touched before all rows have arrived, and nothing stays of a merge that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Protocol

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.exceptions import MissingTableError, SourceChangedError, SyncError, SyncFailed, TableError
from airflow_provider_sync.report import TableReport, Verified
from airflow_provider_sync.sync import version1, version2
from airflow_provider_sync.sync.download import Download, Unchanged
from airflow_provider_sync.sync.guards import check_deletes
from airflow_provider_sync.sync.measure import Measure
from airflow_provider_sync.sync.progress import Progress, silent
from airflow_provider_sync.sync.target import Target, resolve_target
from airflow_provider_sync.tables.engines.base import Database
from airflow_provider_sync.tables.merge import DirectRows, MergeCounts, MergeResult, StagedTable, merge_tables
from airflow_provider_sync.tables.schema import Table
from airflow_provider_sync.tables.staging import Staging, staging_for

LOCK_TIMEOUT = 60.0

TRIES = 3
"""How often a sync begins anew because the source changed between two of its answers."""


def sync_tables(
    client: SyncClient,
    tables: Sequence[TargetTable],
    database: Database,
    *,
    single_transaction: bool = True,
    dry_run: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
    progress: Progress | None = None,
) -> list[TableReport]:
    """Make tables of one database equal to those that the server offers under their names.

    :param single_transaction: merge all of them in one transaction, so that all arrive or none; otherwise each in its own,
        the rest even when one fails
    :param dry_run: report what would change, and write nothing but staging tables, which are dropped again
    :param lock_timeout: seconds to wait for another sync of the same table
    :param progress: told of rows
    :return: one report for each table, in the given order
    :raises SyncFailed: when any failed, with the reports of all
    """
    groups = [tuple(tables)] if single_transaction else [(table,) for table in tables]
    reports: list[TableReport] = []
    errors: list[SyncError] = []
    for group in filter(None, groups):
        measure = Measure(client)
        try:
            reports += _TransactionGroup(client, group, database, progress or silent).run(dry_run, lock_timeout)
        except SyncError as error:
            errors.append(error)
            reports += [
                TableReport(
                    name=table.name, status="failed", protocol=client.protocol_spoken, error=str(error), **measure.so_far()
                )
                for table in group
            ]
    if errors:
        raise SyncFailed("; ".join(map(str, errors)), reports, all(error.retryable for error in errors)) from errors[0]
    return reports


def table_differs(client: SyncClient, table: TargetTable, database: Database) -> bool:
    """Whether a sync would find something to do, by comparing hashes or digests; no row is downloaded.

    :raises ServerError: when the source cannot hash the table
    """
    target = find_target(client, database, table)
    return target is None or version_of(client).differs(client, database, target)


def find_target(client: SyncClient, database: Database, options: TargetTable) -> Target | None:
    """Describe the target table; ``None`` when it is missing and a sync would make it.

    :raises MissingTableError: when it is missing, and a sync would not make it
    """
    try:
        with database.connect() as connection:
            return resolve_target(database, connection, options)
    except MissingTableError as error:
        if options.create_table and client.protocol_for() == 2:
            return None
        raise version_of(client).missing(client, database, options) from error


class Version(Protocol):
    """A version of the protocol: a module of this package."""

    def missing(self, client: SyncClient, database: Database, options: TargetTable) -> MissingTableError:
        """Return the error for a missing target, with the CREATE TABLE to run."""

    def differs(self, client: SyncClient, database: Database, target: Target) -> bool:
        """Whether source and target differ; no row is downloaded."""

    def download(
        self,
        client: SyncClient,
        database: Database,
        connection: Connection,
        target: Target,
        staging: Staging,
        *,
        on_rows: Callable[[int], None],
    ) -> Download | Unchanged:
        """Stage what the merge needs."""


def version_of(client: SyncClient) -> Version:
    """Return the version of the protocol that this server speaks."""
    return version1 if client.protocol_for() == 1 else version2


class _TransactionGroup:
    """Tables that are merged in one transaction, over one connection."""

    def __init__(self, client: SyncClient, tables: Sequence[TargetTable], database: Database, progress: Progress) -> None:
        self.client = client
        self.tables = tables
        self.database = database
        self.progress = progress

    def run(self, dry_run: bool, lock_timeout: float) -> list[TableReport]:
        """Download what differs, merge it, and report on every table.

        :raises SourceChangedError: when the source never stood still
        """
        found = {table.name: find_target(self.client, self.database, table) for table in self.tables}
        missing = [table for table in self.tables if found[table.name] is None]
        if dry_run:
            reports = {report.name: report for report in self._tries(list(filter(None, found.values())), True, lock_timeout)}
            reports |= {table.name: _report_missing(self.client, table) for table in missing}
            return [reports[table.name] for table in self.tables]
        with ExitStack() as undo:
            for table in missing:
                undo.callback(self._drop_target, version2.create(self.client, self.database, table))
                found[table.name] = find_target(self.client, self.database, table)
            reports_made = self._tries(list(filter(None, found.values())), False, lock_timeout)
            undo.pop_all()
            return reports_made

    def _tries(self, targets: Sequence[Target], dry_run: bool, lock_timeout: float) -> list[TableReport]:
        with self._locks(targets, lock_timeout):
            for _ in range(TRIES - 1):
                with suppress(SourceChangedError):
                    return self._try(targets, dry_run)
            return self._try(targets, dry_run)

    def _drop_target(self, table: Table) -> None:
        """Drop a target that was made for a sync that failed; the error that ended it is the one to be told."""
        with suppress(SyncError), self.database.connect() as connection:
            self.database.drop(connection, table)

    def _try(self, targets: Sequence[Target], dry_run: bool) -> list[TableReport]:
        with self.database.connect() as connection, ExitStack() as cleanup:
            entries = [self._download(connection, target, cleanup) for target in targets]
            self._merge(connection, [entry for entry in entries if isinstance(entry.outcome, Download)], dry_run)
            return [_report(entry, dry_run) for entry in entries]

    @contextmanager
    def _locks(self, targets: Sequence[Target], timeout: float) -> Iterator[None]:
        """Hold the locks of all tables, taken in one order everywhere, so that no two runs wait for each other."""
        with ExitStack() as locks:
            for target in sorted(targets, key=lambda target: str(target.table)):
                locks.enter_context(self.database.exclusive(target.table, timeout=timeout))
            yield

    def _download(self, connection: Connection, target: Target, cleanup: ExitStack) -> _Entry:
        measure = Measure(self.client)
        staging = staging_for(self.database, target.options.staging)
        cleanup.push(partial(self._drop, staging))

        def on_rows(rows: int) -> None:
            self.progress(target.name, rows, "rows")

        outcome = version_of(self.client).download(self.client, self.database, connection, target, staging, on_rows=on_rows)
        measure.pause()
        if isinstance(outcome, Download) and isinstance(outcome.staged, DirectRows):
            # These rows come only with the merge.
            blocks = measure.counting(outcome.staged.blocks)
            outcome.staged = msgspec.structs.replace(outcome.staged, blocks=blocks)
        if not staging.created:
            staging.clear(connection, target.table)
        return _Entry(target, measure, outcome)

    def _drop(self, staging: Staging, kind: type[BaseException] | None, *_: object) -> None:
        """Drop a staging table; the error that ended the sync, if any, is the one to be told."""
        with suppress(*([SyncError] if kind else [])), self.database.connect() as connection:
            staging.drop(connection)

    def _merge(self, connection: Connection, entries: Sequence[_Entry], dry_run: bool) -> None:
        if not entries:
            return
        by_staged = {id(entry.download.staged): entry for entry in entries}

        def check(staged: StagedTable | DirectRows, counts: MergeCounts) -> None:
            entry = by_staged[id(staged)]
            offered = entry.download.rows_total
            check_deletes(entry.target.options, deletes=counts.deleted, present=counts.target_rows, offered=offered, unit="rows")

        def verify(staged: StagedTable | DirectRows) -> None:
            entry = by_staged[id(staged)]
            entry.verified = entry.download.verify(connection) if staged.verify else None

        staged = [entry.download.staged for entry in entries]
        results = merge_tables(self.database, connection, staged, check=check, verify=verify, dry_run=dry_run)
        for entry, result in zip(entries, results, strict=True):
            entry.result = result


class _Entry:
    """One table on its way through the steps.

    :ivar result: of the merge, once there was one
    :ivar verified: what was proven before the commit, beyond the comparison of rows
    """

    def __init__(self, target: Target, measure: Measure, outcome: Download | Unchanged) -> None:
        self.target = target
        self.measure = measure
        self.outcome = outcome
        self.result: MergeResult | None = None
        self.verified: Verified | None = None

    @property
    def download(self) -> Download:
        """The rows that wait for their merge."""
        if isinstance(self.outcome, Download):
            return self.outcome
        raise TableError(f"Table {self.target.name!r} has nothing to merge.")


def _report_missing(client: SyncClient, table: TargetTable) -> TableReport:
    """Report what a run would do for a target that it would make."""
    measure = Measure(client)
    rows = version2.count_rows(client, table)
    return TableReport(
        name=table.name,
        status="planned",
        protocol=2,
        rows_total=rows,
        rows_inserted=rows,
        warnings=(f"There is no table {table.table_name!r} yet; a run makes it.",),
        **measure.so_far(),
    )


def _report(entry: _Entry, dry_run: bool) -> TableReport:
    """Put together what the steps found."""
    measured = entry.measure.so_far()
    if isinstance(entry.outcome, Unchanged):
        same = entry.outcome
        return TableReport(
            name=entry.target.name,
            status="unchanged",
            protocol=same.protocol,
            rows_total=same.rows,
            verified=same.verified,
            **measured,
        )
    download, result = entry.outcome, entry.result
    if result is None:
        raise TableError(f"Table {entry.target.name!r} was not merged.")
    counts = result.counts
    doubt = download.doubt() if entry.target.options.verify and not dry_run else None
    return TableReport(
        name=entry.target.name,
        status="unchanged" if not counts.changes else "planned" if dry_run else "changed",
        protocol=download.protocol,
        rows_total=download.rows_total,
        rows_received=download.rows_received,
        rows_inserted=counts.inserted,
        rows_updated=counts.updated,
        rows_deleted=counts.deleted,
        verified=entry.verified or ("rows" if result.verified_rows else None),
        orphans=result.orphans,
        warnings=(*download.warnings, *result.warnings, *([doubt] if doubt else [])),
        **measured,
    )

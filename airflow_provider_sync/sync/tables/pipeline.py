"""Keep tables in step: download what differs into staging tables, then merge in one short transaction.

::

    lock ── describe ── hash ── ask ──┬─ 304 ─────────────────────────────── unchanged
                                      └─ rows ── staging ── merge ── verify ── commit

Nothing of a target is touched before all rows have arrived, and nothing stays of a merge that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Protocol

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.locks import TableLock
from airflow_provider_sync.databases.table_errors import naming_table
from airflow_provider_sync.exceptions import (
    IncompleteStreamError,
    MissingTableError,
    ReferencedRowsError,
    SourceChangedError,
    SyncError,
    TargetChangedError,
)
from airflow_provider_sync.merge.staging import Staging, staging_for
from airflow_provider_sync.merge.transaction import DirectRows
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.attempts import Attempts, repeated
from airflow_provider_sync.sync.outcomes import Outcomes
from airflow_provider_sync.sync.progress import Progress, silent
from airflow_provider_sync.sync.tables import version2
from airflow_provider_sync.sync.tables.clean_up import CleanUp
from airflow_provider_sync.sync.tables.download import Download, Unchanged
from airflow_provider_sync.sync.tables.failures import TablesFailed, about, reasons, try_each
from airflow_provider_sync.sync.tables.made_target import made_target
from airflow_provider_sync.sync.tables.merge_step import Entry, merge_entries, report_of
from airflow_provider_sync.sync.tables.target import Target, resolve_target, seen_by
from airflow_provider_sync.sync.tables.transaction_groups import in_order, transaction_groups
from airflow_provider_sync.sync.tables.version1 import download as version1
from airflow_provider_sync.sync.time_limit import within_max_seconds
from airflow_provider_sync.sync.traffic import Measure

LOCK_TIMEOUT = 60.0


def sync_tables(
    client: SyncClient,
    tables: Sequence[TargetTable],
    database: Database,
    *,
    single_transaction: bool = True,
    dry_run: bool = False,
    resume: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
    progress: Progress | None = None,
) -> list[TableReport]:
    """Make tables of one database equal to those that the server offers under their names.

    :param single_transaction: merge all of them in one transaction, so that all arrive or none; otherwise each in its own, or
        with those to which foreign keys bind it that cannot be switched off, the rest even when one fails
    :param dry_run: report what would change, and write nothing but staging tables, which are dropped again
    :param resume: after a transient failure, keep what was staged, so that the next try can go on with it (version 2)
    :param lock_timeout: seconds to wait for another sync of the same table
    :param progress: told of rows
    :return: one report for each table, in the given order
    :raises SyncFailed: when any failed, with the reports of all
    """
    groups = transaction_groups(database, tables, lambda table: table.table_name, single_transaction=single_transaction)
    outcomes = Outcomes[TableReport]()
    for group in groups:
        with outcomes.going_on(partial(_failed, client, group, Measure(client))):
            sync = _TransactionGroup(client, group, seen_by(database, group), progress or silent, resume)
            outcomes.add(sync.run(dry_run, lock_timeout))
    reports = in_order(outcomes.found, [table.name for table in tables])
    outcomes.check(reports)
    return reports


def _failed(client: SyncClient, tables: Sequence[TargetTable], measure: Measure, error: SyncError) -> list[TableReport]:
    """Report on tables of one transaction, which failed."""
    return [
        TableReport(name=name, status="failed", protocol=client.protocol_spoken, error=reason, **measure.so_far())
        for name, reason in reasons(error, [table.name for table in tables]).items()
    ]


@within_max_seconds
def table_differs(client: SyncClient, table: TargetTable, database: Database) -> bool:
    """Whether a sync would find something to do, by comparing hashes or digests; no row is downloaded.

    :raises ServerError: when the source cannot hash the table
    """
    database = seen_by(database, [table])
    target = find_target(client, database, table)
    return target is None or repeated(client, lambda: version_of(client).differs(client, database, target))


def find_target(client: SyncClient, database: Database, options: TargetTable) -> Target | None:
    """Describe the target table; ``None`` when it is missing and a sync would make it.

    :raises MissingTableError: when it is missing, and a sync would not make it
    """
    try:
        return present_target(client, database, options)
    except MissingTableError:
        if options.create_table and client.protocol_for() == 2:
            return None
        raise


def present_target(client: SyncClient, database: Database, options: TargetTable) -> Target:
    """Describe the target table.

    :raises MissingTableError: when it is missing
    """
    try:
        with database.connect() as connection:
            return resolve_target(database, connection, options)
    except MissingTableError as error:
        with client.within(options.max_seconds):
            raise version_of(client).missing(client, database, options) from error


class Version(Protocol):
    """A version of the protocol: a module of this package."""

    def missing(self, client: SyncClient, database: Database, options: TargetTable) -> MissingTableError:
        """Return the error for a missing target, with the CREATE TABLE to run."""

    def differs(self, client: SyncClient, database: Database, target: Target) -> bool:
        """Whether source and target differ; no row is downloaded."""

    def check(self, client: SyncClient, database: Database, target: Target) -> None:
        """Ask the source for as little of the table as shows whether it can be synced, after another one could not.

        :raises SyncError: when it cannot
        """

    def download(
        self,
        client: SyncClient,
        database: Database,
        connection: Connection,
        target: Target,
        staging: Staging,
        *,
        on_rows: Callable[[int], None],
        resume: bool = False,
        direct: bool = True,
    ) -> Download | Unchanged:
        """Stage what the merge needs.

        :param direct: leave the rows of an empty target to the final transaction, where there is a way
        """


def version_of(client: SyncClient) -> Version:
    """Return the version of the protocol that this server speaks."""
    return version1 if client.protocol_for() == 1 else version2


class _TransactionGroup:
    """Tables that are merged in one transaction, over one connection."""

    def __init__(
        self, client: SyncClient, tables: Sequence[TargetTable], database: Database, progress: Progress, resume: bool
    ) -> None:
        self.client = client
        self.tables = tables
        self.database = database
        self.progress = progress
        self.resume = resume
        self.attempts = Attempts(client)

    def run(self, dry_run: bool, lock_timeout: float) -> list[TableReport]:
        """Download what differs, merge it, and report on every table.

        :raises SourceChangedError: when the source changed in each try, in a way that cannot be asked for again
        :raises TargetChangedError: when somebody wrote to the target in each try
        """
        names = [table.table_name for table in self.tables]
        # Described inside the lock: whoever held it may have made a table, and dropped it again.
        with self.database.exclusive(names, timeout=lock_timeout) as lock, ExitStack() as made:
            found = self._find()
            missing = [table for table in self.tables if found[table.name] is None]
            if dry_run:
                reports = {report.name: report for report in self._tries(list(filter(None, found.values())), lock, True)}
                reports |= {table.name: _report_missing(self.client, table) for table in missing}
                return [reports[table.name] for table in self.tables]
            for table in missing:
                made.enter_context(made_target(self.client, self.database, table, lock))
                found[table.name] = present_target(self.client, self.database, table)
            return self._tries(list(filter(None, found.values())), lock, False)

    def _find(self) -> dict[str, Target | None]:
        """Describe all targets; ``None`` for those that are to be made.

        :raises SyncError: when some cannot be synced, of which each is named, for a reason of its own
        """
        found: dict[str, Target | None] = {}

        def find(table: TargetTable) -> None:
            target = find_target(self.client, self.database, table)
            if target is not None:
                target.check_rollback()
            found[table.name] = target

        failure = try_each([(table.name, partial(find, table)) for table in self.tables])
        if failure is not None:
            if isinstance(failure, TablesFailed):
                self._look_further(failure, [target for target in found.values() if target is not None])
            raise failure
        return found

    def _look_further(self, failure: TablesFailed, targets: Sequence[Target]) -> None:
        """Find out whether the source has what the other tables need, since all of them are told of at once."""
        other = try_each([(target.name, partial(self._check, target)) for target in targets])
        if isinstance(other, TablesFailed):
            failure.by_table.update(other.by_table)

    def _check(self, target: Target) -> None:
        version_of(self.client).check(self.client, self.database, target)

    def _tries(self, targets: Sequence[Target], lock: TableLock, dry_run: bool) -> list[TableReport]:
        # Rows that are loaded directly cannot be asked for again one by one.
        return self.attempts.run(
            lambda: self._try(targets, lock, dry_run, direct=not self.attempts.moved),
            is_moved=lambda error: _is_moved(error, targets),
        )

    def _try(self, targets: Sequence[Target], lock: TableLock, dry_run: bool, *, direct: bool) -> list[TableReport]:
        after = CleanUp()
        with self.database.connect(loading=True) as connection, ExitStack() as cleanup:
            entries = []
            for number, target in enumerate(targets, 1):
                try:
                    with about(target.name):
                        entries.append(self._download(connection, target, cleanup, after, direct=direct))
                except (SourceChangedError, TargetChangedError, IncompleteStreamError):
                    raise
                except SyncError as error:
                    others = [(other.name, partial(self._check, other)) for other in targets[number:]]
                    raise (try_each(others, error) or error) from error
            merge_entries(self.database, connection, entries, lock=lock, dry_run=dry_run)
            reports = [report_of(entry, dry_run) for entry in entries]
        return after.told(reports)

    def _download(self, connection: Connection, target: Target, cleanup: ExitStack, after: CleanUp, *, direct: bool) -> Entry:
        measure = Measure(self.client)
        staging = staging_for(self.database, target.options.staging)
        cleanup.push(partial(self._drop, staging, target, after))

        def on_rows(rows: int) -> None:
            self.progress(target.name, rows, "rows")

        with self.client.within(target.options.max_seconds), naming_table(target.name):
            outcome = version_of(self.client).download(
                self.client,
                self.database,
                connection,
                target,
                staging,
                on_rows=on_rows,
                resume=self.resume or self.attempts.cut,
                direct=direct,
            )
        measure.pause()
        if isinstance(outcome, Download) and isinstance(outcome.staged, DirectRows):
            # These rows come only with the merge.
            blocks = measure.counting(_in_time(self.client, target, outcome.staged.blocks))
            outcome.staged = msgspec.structs.replace(outcome.staged, blocks=blocks)
        if not staging.created:
            with after.of(target.name):
                staging.clear(connection, target.table)
        return Entry(target, measure, outcome)

    def _drop(
        self,
        staging: Staging,
        target: Target,
        after: CleanUp,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: object,
    ) -> None:
        """Drop a staging table, if nobody can go on with it; the error that ended the sync, if any, is the one to be told."""
        # What is no Exception ends the sync from outside.
        may_go_on = error.retryable if isinstance(error, SyncError) else error is not None and not isinstance(error, Exception)
        if self.client.protocol_spoken == 2 and may_go_on:
            again = isinstance(error, IncompleteStreamError) and not error.given_up and self.attempts.left
            if self.resume or again:
                return
        with after.of(target.name), self.database.connect() as connection:
            staging.drop(connection)
            if self.attempts.cut:
                staging.clear(connection, target.table)  # what a try before has left


def _is_moved(error: SyncError, targets: Sequence[Target]) -> bool:
    """Whether a try failed because source or target changed during it.

    Rows that refer to others without finding them show that, too, where their table is one of the run: the source moved between
    the comparisons of the two.
    """
    if not isinstance(error, ReferencedRowsError):
        return isinstance(error, SourceChangedError | TargetChangedError)
    name = error.child.replace('"', "")
    return len(targets) > 1 and any(name in (str(target.table), target.table.name) for target in targets)


def _in_time(client: SyncClient, target: Target, blocks: Callable[[], Generator[bytes]]) -> Callable[[], Generator[bytes]]:
    """Limit the time in which blocks come that are asked for in a merge."""

    def limited() -> Generator[bytes]:
        with client.within(target.options.max_seconds):
            yield from blocks()

    return limited


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

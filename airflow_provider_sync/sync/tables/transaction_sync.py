"""Sync the tables of one transaction: compare and stage each table, then merge all of them.

::

    lock ── describe targets ── for each table: compare ── stage ─┬─ merge ── verify ── commit ── reports
                                     ▲                            │
                                     └── source or target changed ┘

No target is changed before all rows have arrived, and a failed merge is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.lock_waits import LockWaits
from airflow_provider_sync.databases.locks import TableLock
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.table_errors import naming_table
from airflow_provider_sync.exceptions import (
    IncompleteStreamError,
    ReferencedRowsError,
    SourceChangedError,
    SyncError,
    TargetChangedError,
)
from airflow_provider_sync.merge.staging import Staging, TemporaryStaging, staging_for
from airflow_provider_sync.merge.staging_names import find_staging
from airflow_provider_sync.protocol.v2.messages import Described
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.attempts import Attempts
from airflow_provider_sync.sync.progress import Progress, row_progress
from airflow_provider_sync.sync.tables.altered_target import described_again, noticing_alterations
from airflow_provider_sync.sync.tables.apply_schema_changes import Adapt, altered, following_source, narrowed
from airflow_provider_sync.sync.tables.clean_up import CleanUp
from airflow_provider_sync.sync.tables.descriptions import Descriptions
from airflow_provider_sync.sync.tables.failures import Check, recording_table, try_each
from airflow_provider_sync.sync.tables.guarded_merge import TableToMerge, merge_guarded
from airflow_provider_sync.sync.tables.missing_target import (
    find_target,
    made_target,
    present_target,
    report_missing,
    unfinished_target,
)
from airflow_provider_sync.sync.tables.negotiated_source import source_of
from airflow_provider_sync.sync.tables.new_target.description import NewTarget
from airflow_provider_sync.sync.tables.new_target.details import MadeTable
from airflow_provider_sync.sync.tables.schema_changes import SchemaChanges, SchemaDiffers
from airflow_provider_sync.sync.tables.staged_rows import StagedRows
from airflow_provider_sync.sync.tables.table_source import StagingArea
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.transaction_groups import in_order
from airflow_provider_sync.sync.tables.version2.small_tables import KnownAhead, describe_ahead, find_unchanged
from airflow_provider_sync.sync.traffic import Measure


class TransactionSync:
    """The sync of the tables of one transaction, over one connection.

    :param adapted: filled with the targets that were adapted to their sources' columns, by name
    :param measures: the measures to which the costs of each table are added, by name
    :param ahead: what is already known about all tables of the run; ``None`` if the source was not asked yet
    :param clean_up_waits: the clean-up's waits for locks in this run
    :param others: returns tables of other transactions that triggers must not change: tables that were already compared, or
        that keep rows of their own
    """

    def __init__(
        self,
        client: SyncClient,
        database: Database,
        tables: Sequence[TargetTable],
        *,
        dry_run: bool,
        resume: bool,
        progress: Progress,
        adapted: dict[str, Target],
        measures: Mapping[str, Measure],
        clean_up_waits: LockWaits,
        ahead: KnownAhead | None = None,
        others: Callable[[], Iterable[TargetTable]] = tuple,
    ) -> None:
        self.client = client
        self.database = database
        self.tables = tables
        self.dry_run = dry_run
        self.resume = resume
        self.progress = progress
        self.ahead = ahead
        self.others = others
        self.attempts = Attempts(client)
        self.adapted = adapted
        self.measures = measures
        self.clean_up_waits = clean_up_waits
        self.made: list[MadeTable] = []
        self.described = Descriptions()

    def run(self, lock_timeout: float, run_tables: Mapping[str, TargetTable]) -> list[TableReport]:
        """Stage the rows that differ, merge them, and report on every table.

        :param run_tables: the options of all tables of the run, including those of other transactions, by name
        :raises SourceChangedError: if the source changed during each attempt, in a way that repeated requests did not resolve
        :raises TargetChangedError: if another process wrote to the target during each attempt
        """
        names = [table.table_name for table in self.tables]
        # Tables are described under the lock, since its previous holder may have created a table, or dropped it again.
        with self.database.exclusive(names, timeout=lock_timeout) as lock:
            # The costs of requests about all tables count for the first.
            with self.measures[self.tables[0].name].counting():
                targets, missing = self._find_targets(run_tables)
            if self.dry_run:
                reports = [
                    *self._stage_and_merge(targets, lock),
                    *(
                        report_missing(
                            self.client, self.database, table, run_tables, earlier=[self.measures[table.name].so_far()]
                        )
                        for table in missing
                    ),
                ]
                return in_order(reports, [table.name for table in self.tables])
            with ExitStack() as made:
                for table in missing:
                    making = made_target(
                        self.client,
                        self.database,
                        table,
                        lock,
                        run_tables,
                        self.described[table.name],
                        clean_up_waits=self.clean_up_waits,
                    )
                    with self.measures[table.name].counting():
                        self.made.append(made.enter_context(making))
                    target = present_target(self.client, self.database, table)
                    targets.append(msgspec.structs.replace(target, is_new=True))
                return self._stage_and_merge(in_order(targets, [table.name for table in self.tables]), lock)

    def _find_targets(self, run_tables: Mapping[str, TargetTable]) -> tuple[list[Target], list[TargetTable]]:
        """Describe the targets; return the existing ones, and the options of those to create.

        Targets that earlier runs created but did not finish are added to the created ones.

        :param run_tables: the options of all tables of the run, by name
        :raises SyncError: if some tables cannot be synced; it names each of them with its own reason
        """
        targets: list[Target] = []
        missing: list[TargetTable] = []

        def find(connection: Connection, table: TargetTable, found: Table | None) -> None:
            target = find_target(self.client, self.database, table, connection, check=False, described=found)
            if target is None:
                missing.append(table)
            else:
                target.check_rollback()
                targets.append(target)
                unfinished = unfinished_target(self.client, self.database, table, run_tables, connection, target.table)
                self.made += [unfinished] if unfinished else []

        def describe(table: TargetTable, described: Described | None) -> None:
            with self.client.within(table.max_seconds):
                self.described.keep(table.name, NewTarget(self.client, self.database, table).describe(described))

        def checks(connection: Connection) -> Iterator[Check]:
            with self.database.translate_errors():
                found = self.database.catalog.describe_many(connection, [table.table_name for table in self.tables])
            for table in self.tables:
                yield table.name, partial(find, connection, table, found.get(table.table_name))
            known = self.ahead.described if self.ahead else {}
            unknown = [table for table in missing if table.name not in known]
            described = {**known, **describe_ahead(self.client, self.database, unknown)}
            for table in missing:
                yield table.name, partial(describe, table, described.get(table.name))

        with self.database.connect() as connection:
            failure = try_each(
                checks(connection),
                after_failures=((target.name, partial(self._check, target)) for target in targets),
            )
        if failure is not None:
            raise failure
        return targets, missing

    def _check(self, target: Target) -> None:
        # A difference that on_schema_change handles is no failure.
        with suppress(SchemaDiffers):
            source_of(self.client, self.database).check(target)

    def _stage_and_merge(self, targets: Sequence[Target], lock: TableLock) -> list[TableReport]:
        with noticing_alterations(self.database, lambda: [self.adapted.get(target.name, target) for target in targets]):
            return self.attempts.run(partial(self._attempt, targets, lock), is_moved=partial(_is_moved, targets))

    def _attempt(self, targets: Sequence[Target], lock: TableLock) -> list[TableReport]:
        clean_up = CleanUp(self.database, self.clean_up_waits)
        with self.database.connect(loading=True) as connection, ExitStack() as staging_tables:
            if self.attempts.moved:
                known = [self.adapted.get(target.name, target) for target in targets]
                self.adapted.update((target.name, target) for target in described_again(self.database, connection, known))
            # The costs of requests about all tables count for the first.
            with self.measures[targets[0].name].counting() if targets else nullcontext():
                unchanged = self._find_unchanged(targets)
                self._clear(connection, [target for target in targets if target.name in unchanged], clean_up)
            staged = []
            for number, target in enumerate(targets, 1):
                measure = self.measures[target.name]
                if target.name in unchanged:
                    equal = source_of(self.client, self.database).equal_rows(target, rows=unchanged[target.name])
                    staged.append(TableToMerge(equal, measure))
                    continue
                with measure.counting(), self._explaining(targets[number:]), recording_table(target.name):
                    found, adapt = self.adapted.get(target.name, target), partial(self._adapt, lock)
                    rows = self._stage(connection, found, adapt, staging_tables, clean_up)
                staged.append(TableToMerge(rows, measure))
            reports = merge_guarded(self.database, connection, staged, lock=lock, dry_run=self.dry_run, others=self.others)
        return clean_up.with_warnings(reports)

    def _find_unchanged(self, targets: Sequence[Target]) -> Mapping[str, int]:
        """Return the row counts of the tables that equal their source, by name, from one request about all tables."""
        if self.attempts.moved or self.attempts.cut:
            return {}  # without the request, each table is compared right before its rows are requested
        if self.ahead is not None:
            return self.ahead.unchanged
        # A table that was just created differs if its source has rows.
        made = {name for name, described in self.described.items() if described.rows}
        targets = [target for target in targets if target.name not in made]
        if len(targets) < 2:
            return {}
        limits = [target.options.max_seconds for target in targets]
        seconds = None if None in limits else sum(filter(None, limits))
        with self._explaining(targets[1:]), recording_table(targets[0].name), self.client.within(seconds):
            return find_unchanged(self.client, self.database, targets)

    def _clear(self, connection: Connection, unchanged: Sequence[Target], clean_up: CleanUp) -> None:
        """Drop staging tables that killed runs left, of tables that need none now."""
        if not unchanged:
            return
        schemas = {target.table.schema for target in unchanged}
        # One query for each schema, since there is hardly ever anything to drop.
        if find_staging(connection, schemas=schemas):
            for target in unchanged:
                self._clear_one(connection, staging_for(self.database, target.options.staging), target, clean_up)

    @staticmethod
    def _clear_one(connection: Connection, staging: Staging, target: Target, clean_up: CleanUp) -> None:
        # The clean-up needs a connection of its own, which costs time.
        if staging.has_left_behind(connection, target.table):
            clean_up.drop(target.name, partial(staging.clear, target=target.table))

    @contextmanager
    def _explaining(self, others: Sequence[Target]) -> Iterator[None]:
        """If an error ends the sync, check the remaining tables too, and name all that cannot be synced, each with its reason.

        :param others: tables that were not compared yet
        """
        try:
            yield
        except (SourceChangedError, TargetChangedError, IncompleteStreamError):
            raise
        except SyncError as error:
            failure = try_each([(other.name, partial(self._check, other)) for other in others], error)
            if failure in (None, error):
                raise  # raising it "from" itself would replace its true cause
            raise failure from error

    def _adapt(self, lock: TableLock, target: Target, changes: SchemaChanges) -> Target:
        """Alter a target to match its source's columns; in a dry run, narrow it to the columns that fit."""
        if self.dry_run:
            adapted = narrowed(self.database, target, changes)
        else:
            lock.check()
            adapted = altered(self.database, target, changes)
        self.adapted[target.name] = adapted
        return adapted

    def _stage(
        self,
        connection: Connection,
        target: Target,
        adapt: Adapt,
        staging_tables: ExitStack,
        clean_up: CleanUp,
    ) -> StagedRows:
        rows = staging_for(self.database, target.options.staging)
        staging_tables.push(partial(self._drop, rows, target, clean_up))
        area = StagingArea(
            target=target,
            connection=connection,
            rows=rows,
            removed=TemporaryStaging(self.database, purpose="removed"),
            on_rows=row_progress(self.progress, target.name),
            described=self.described.get(target.name),
        )

        def stage(found: Target) -> StagedRows:
            return source_of(self.client, self.database).stage(
                replace(area, target=found),
                resume=self.resume or self.attempts.cut,
                # After a change of the source, rows are staged: rows loaded directly cannot be requested again one by one.
                direct=not self.attempts.moved,
                asking=partial(self.client.within, target.options.max_seconds),
            )

        # Drivers' errors are translated inside, since only translated ones get the name.
        named = naming_table(target.name)
        with self.client.within(target.options.max_seconds), named, self.database.translate_errors():
            staged = following_source(target, adapt, stage)
        if not rows.created:
            self._clear_one(connection, rows, target, clean_up)
        return staged

    def _drop(
        self,
        staging: Staging,
        target: Target,
        clean_up: CleanUp,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: object,
    ) -> None:
        """Drop a staging table unless the next attempt can resume from it; do not mask the error that ended this attempt."""
        if self._can_go_on(error) or not (staging.created or self.attempts.cut):
            return
        clean_up.drop(target.name, partial(self._remove, staging, target))

    def _remove(self, staging: Staging, target: Target, connection: Connection) -> None:
        staging.drop(connection)
        if self.attempts.cut:
            staging.clear(connection, target.table)  # rows of an earlier attempt

    def _can_go_on(self, error: BaseException | None) -> bool:
        """Tell whether the next attempt, or the next run, can resume from the rows that were staged before an error."""
        # A BaseException that is no Exception, such as KeyboardInterrupt, ends the sync from outside.
        is_transient = error.retryable if isinstance(error, SyncError) else error is not None and not isinstance(error, Exception)
        if self.client.protocol_spoken != 2 or not is_transient:
            return False
        return self.resume or (isinstance(error, IncompleteStreamError) and not error.given_up and self.attempts.left)


def _is_moved(targets: Sequence[Target], error: SyncError) -> bool:
    """Tell whether an attempt failed because source or target changed during it.

    A foreign key violation between two tables of the run counts, too: the source changed between their comparisons.
    """
    if not isinstance(error, ReferencedRowsError):
        return isinstance(error, SourceChangedError | TargetChangedError)
    name = error.child.replace('"', "")
    return len(targets) > 1 and any(name in (str(target.table), target.table.name) for target in targets)

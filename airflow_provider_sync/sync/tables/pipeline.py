"""Sync tables in one task, transaction by transaction; :mod:`.transaction_sync` handles one transaction.

:mod:`.steps` does the same in separate tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.lock_waits import LockWaits
from airflow_provider_sync.exceptions import SyncError
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.other_connections import OtherTables, with_tables_here
from airflow_provider_sync.sync.outcomes import Outcomes
from airflow_provider_sync.sync.progress import Progress, silent
from airflow_provider_sync.sync.tables.failures import failed_together
from airflow_provider_sync.sync.tables.new_target.details import MadeTable, with_details
from airflow_provider_sync.sync.tables.new_target.foreign_keys import add_foreign_keys
from airflow_provider_sync.sync.tables.target import Target, with_row_security
from airflow_provider_sync.sync.tables.transaction_groups import in_order, transaction_groups
from airflow_provider_sync.sync.tables.transaction_sync import TransactionSync
from airflow_provider_sync.sync.tables.version2.small_tables import KnownAhead, ask_ahead
from airflow_provider_sync.sync.time_limit import LOCK_TIMEOUT
from airflow_provider_sync.sync.traffic import Measure


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
    elsewhere: OtherTables = (),
    ahead: KnownAhead | None = None,
    earlier: Iterable[Mapping[str, Any]] = (),
) -> list[TableReport]:
    """Make tables of one database equal to those that the server offers under their names.

    :param single_transaction: merge all tables in one transaction; otherwise each table in its own, continuing after failures,
        except that tables linked by foreign keys that cannot be disabled share one
    :param dry_run: report what would change, and write nothing but staging tables, which are dropped again
    :param resume: after a transient failure, keep the staged rows, so that the next run can resume (version 2)
    :param lock_timeout: seconds to wait for another sync of the same table
    :param progress: called with the number of rows that arrived
    :param elsewhere: tables of other connections, which triggers must not change if they are on the same server
    :param ahead: what is already known about all tables; ``None`` to ask
    :param earlier: costs of requests before, which count for the first table; see :class:`.Measure`
    :return: one report for each table, in the given order
    :raises SyncFailed: if any failed, with the reports of all
    """
    outcomes = Outcomes[TableReport]()
    groups = transaction_groups(database, tables, lambda table: table.table_name, single_transaction=single_transaction)
    # With one transaction for each table, the request about all tables must precede the first lock.
    asking = Measure(client, earlier=earlier)
    if ahead is None and len(groups) > 1:
        ahead = ask_ahead(client, database, tables, making=not dry_run)
    asking.pause()
    run_tables = {table.name: table for table in tables}
    made: list[MadeTable] = []
    adapted: dict[str, Target] = {}
    waits, clean_up_waits = LockWaits(), LockWaits.of_clean_up()
    compared = set() if ahead is None else set(ahead.unchanged)
    for group in groups:
        names = {table.name for table in group}
        others = [
            table for table in tables if table.name not in names and (table.name in compared or table.has_rows_beside_source)
        ]
        # The costs of requests about all tables count for the first.
        asked = [asking.so_far()] if group is groups[0] else []
        measures = {
            table.name: Measure(client, earlier=[] if number else asked, running=False) for number, table in enumerate(group)
        }
        with (
            outcomes.going_on(partial(_failed, client, measures, Measure(client, earlier=asked), adapted)),
            waits.waiting(database) as waiting,
        ):
            sync = TransactionSync(
                client,
                with_row_security(waiting, group),
                group,
                dry_run=dry_run,
                resume=resume,
                progress=progress or silent,
                ahead=ahead,
                adapted=adapted,
                measures=measures,
                clean_up_waits=clean_up_waits,
                others=partial(with_tables_here, waiting, others, elsewhere),
            )
            outcomes.add(sync.run(lock_timeout, run_tables))
            made += sync.made
            compared |= names
    reports = in_order(outcomes.found, list(run_tables))
    failed = {run_tables[report.name].table_name for report in reports if report.status == "failed"}
    details = add_foreign_keys(database, made, waits=waits, failed=failed, dry_run=dry_run)
    reports = list(with_details(reports, details, dry_run=dry_run))
    outcomes.check(reports)
    return reports


def _failed(
    client: SyncClient,
    measures: Mapping[str, Measure],
    whole: Measure,
    adapted: Mapping[str, Target],
    error: SyncError,
) -> list[TableReport]:
    """Return the reports of failed tables, including columns that were already added to them and stay."""
    reports = failed_together(measures, whole, client.protocol_spoken, error)
    changes = {name: target.schema_changes for name, target in adapted.items()}
    return [msgspec.structs.replace(report, schema_changes=changes.get(report.name, ())) for report in reports]

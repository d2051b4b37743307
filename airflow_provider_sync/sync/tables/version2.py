"""The entry points of version 2 of the protocol: does a table differ, compare and stage it, in one process or slice by slice.

::

    plan ◀──▶ compare ──┬─ equal: unchanged
                        ├─ load directly ── :mod:`.first_load`
                        └─ rows to fetch ── :mod:`.stage` ── merge ── :mod:`.verify`

What to ask, how finely to cut and what to fetch is decided in :mod:`.plan`; here it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import MissingTableError
from airflow_provider_sync.merge.direct_load import can_load_directly
from airflow_provider_sync.merge.staging import Staging
from airflow_provider_sync.protocol.v2.messages import DescribeTable
from airflow_provider_sync.sync.tables import plan
from airflow_provider_sync.sync.tables.column_mapping import create_statement, land, requested_slice_of
from airflow_provider_sync.sync.tables.compare import Findings, compare, first_facts
from airflow_provider_sync.sync.tables.facts import Facts
from airflow_provider_sync.sync.tables.first_load import FirstRows, describe_source
from airflow_provider_sync.sync.tables.plan import Action
from airflow_provider_sync.sync.tables.stage import Stager
from airflow_provider_sync.sync.tables.staged_rows import EqualRows, StagedRows
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.verify import FetchedRows


def differs(client: SyncClient, database: Database, target: Target) -> bool:
    """Whether source and target differ, by the digests of their segments; no row is asked for."""
    findings = compare(client, database, target, first_facts(database, target), plan.plan_check)
    return bool(findings.comparison.differing)


def missing(client: SyncClient, database: Database, options: TargetTable) -> MissingTableError:
    """Return the error for a missing target, with the CREATE TABLE that the source's description makes."""
    request = DescribeTable(table_slice=requested_slice_of(options), digests=False)
    with client.describe_table(request) as answer:
        statement = create_statement(database, options, answer.described)
    return MissingTableError(
        f"There is no table {options.table_name!r} in the target database. Set create_table to have it made, or run:\n{statement}"
    )


def create(client: SyncClient, database: Database, options: TargetTable) -> Table:
    """Make a missing target from the source's description, and return it."""
    request = DescribeTable(table_slice=requested_slice_of(options), digests=False)
    with client.describe_table(request) as answer, database.connect() as connection:
        connection.exec_driver_sql(create_statement(database, options, answer.described))
        return database.catalog.describe(connection, options.table_name)


def count_rows(client: SyncClient, options: TargetTable) -> int:
    """Count the rows of the source."""
    with client.describe_table(DescribeTable(table_slice=requested_slice_of(options))) as answer:
        return sum(sum(segments.counts) for segments in answer)


def check(client: SyncClient, database: Database, target: Target) -> None:
    """See that the source offers the table, and that the target can hold its columns.

    :raises SyncError: when not
    """
    with client.describe_table(DescribeTable(table_slice=requested_slice_of(target.options), digests=False)) as answer:
        land(database, target, answer.described)


def download(
    client: SyncClient,
    database: Database,
    connection: Connection,
    target: Target,
    staging: Staging,
    *,
    on_rows: Callable[[int], None],
    asking: Callable[[], AbstractContextManager[None]] = nullcontext,
    resume: bool = False,
    direct: bool = True,
) -> StagedRows:
    """Find the rows that differ, and stage those that the source has.

    :param connection: over which the staging tables are made and filled
    :param on_rows: called with the number of rows that arrived
    :param asking: opens the block within which rows are asked for during the merge
    :param resume: stage large tables also where they could be loaded directly, so that a failed try is not for nothing
    :param direct: load an empty target directly where that is possible
    :raises SourceChangedError: when the source's columns changed between two answers
    """
    facts = first_facts(database, target, connection, direct=direct, resume=resume)
    if plan.plan_sync(facts).action is Action.DESCRIBE:
        source = describe_source(client, database, target)
        facts = msgspec.structs.replace(
            facts,
            source_rows=source.described.rows,
            can_load_directly=can_load_directly(target.table, source.table_slice.columns),
        )
        if plan.plan_sync(facts).action is Action.LOAD_DIRECTLY:
            return FirstRows(client, database, target, source, on_rows, asking)
    findings = compare(client, database, target, facts, plan.plan_sync)
    if findings.step.action is Action.DONE:
        return EqualRows(target, protocol=2, rows=findings.comparison.source_rows, verified="digest")
    return Stager(client, database, connection, findings, staging, on_rows=on_rows).stage()


def divide(client: SyncClient, database: Database, target: Target) -> Findings:
    """Compare a table whose rows several tasks are to download; :attr:`.Step.send_all` says whether these stage all rows."""
    facts = Facts(has_window=target.options.window is not None)
    return compare(client, database, target, facts, plan.plan_division)


def download_slice(
    client: SyncClient,
    database: Database,
    connection: Connection,
    target: Target,
    staging: Staging,
    removed: Staging,
    *,
    send_all: bool | None,
    on_rows: Callable[[int], None],
) -> FetchedRows:
    """Stage one slice of a table, which is one task's share; an equal slice, too.

    :param target: with the key range of the slice
    :param removed: where the keys of the rows to delete are listed
    :param send_all: what :func:`divide` found
    """
    findings = compare(client, database, target, first_facts(database, target), partial(plan.plan_slice, send_all=send_all))
    return Stager(client, database, connection, findings, staging, removed=removed, on_rows=on_rows).stage()

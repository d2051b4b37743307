"""Compare a table with its source, step by step: :mod:`.plan` decides on each step from the facts so far.

:mod:`.comparison` queries source and target; this module makes no decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.table_errors import naming_table
from airflow_provider_sync.databases.table_slice import CanonicalColumn, TableSlice
from airflow_provider_sync.merge.gone_columns import columns_with_values
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.version2.compared_segments import ComparedSegments
from airflow_provider_sync.sync.tables.version2.comparison import compare_segments, compare_slice
from airflow_provider_sync.sync.tables.version2.facts import Facts, RowFacts, SampleFacts, SegmentFacts
from airflow_provider_sync.sync.tables.version2.plan import PROBE_SEGMENTS, Action, Step
from airflow_provider_sync.sync.tables.version2.row_changes import Differences, combine

NextStep = Callable[[Facts], Step]
"""One of the functions of :mod:`.plan`."""


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a comparison.

    :ivar step: the last step of the plan, which compares nothing
    :ivar compared: the last comparison of segments
    :ivar differences: the rows that differ; complete if the last step is to fetch rows
    """

    step: Step
    compared: ComparedSegments
    differences: Differences

    @property
    def is_equal(self) -> bool:
        """Whether source and target are equal, so that a sync has nothing to change."""
        return self.step.action is Action.DONE and not self.compared.forgotten


def first_facts(
    database: Database, target: Target, connection: Connection, *, direct: bool = False, resume: bool = False
) -> Facts:
    """Return the facts at the start of a plan, from the target alone and without reading rows.

    :param connection: to the target's database
    :param direct: whether rows may be loaded directly if the target is empty
    :param resume: whether a retry continues after a failed attempt
    """
    facts = target_facts(target, resume=resume)
    if facts.has_window:
        return facts
    # Rows of a history need the time at which they begin, which a direct load does not write.
    is_loadable = direct and target.mode.valid_from is None
    if is_loadable and database.reader.is_empty(connection, target.table):
        return msgspec.structs.replace(facts, is_direct_allowed=True)
    key_slice = _key_slice(database, target)
    if len(key_slice.key) != 1 or len(target.key) != 1 or not key_slice.has_indexed_ranges:
        return facts
    rows = database.digests.estimate_rows(connection, key_slice)
    return msgspec.structs.replace(facts, has_indexed_ranges=True, target_rows=rows)


def target_facts(target: Target, *, resume: bool = False) -> Facts:
    """Return the facts that follow from the options of a target.

    :param resume: see :func:`first_facts`
    """
    return Facts(has_window=target.options.window is not None, keeps_rows=target.mode.keeps_rows, is_resumable=resume)


def follow_plan(client: SyncClient, database: Database, target: Target, facts: Facts, next_step: NextStep) -> Findings:
    """Compare segments, and rows if the plan requires it.

    :param facts: the facts at the start; see :func:`first_facts`
    :param next_step: the plan to follow
    :raises TableError: if the target cannot hold the source's columns
    """
    step = next_step(facts)
    compared = _compare_segments(client, database, target, step)
    facts = facts.with_segments(_segment_facts(compared, step))
    slices, listed = compared.slices(), list[Differences]()
    while (step := next_step(facts)).asks:
        match step.action:
            case Action.SAMPLE_ROWS:
                facts = msgspec.structs.replace(facts, sample=_sample_rows(client, database, compared, step.stride))
            case Action.COMPARE_ROWS:
                listed.append(compare_slice(client, database, compared, slices[len(listed)]))
                facts = msgspec.structs.replace(facts, rows=_row_facts(facts, listed[-1], len(listed) == len(slices)))
            case _:
                compared = _compare_segments(client, database, target, step)
                facts = facts.with_segments(_segment_facts(compared, step))
                slices, listed = compared.slices(), []
    compared = msgspec.structs.replace(compared, forgotten=forgotten_columns(database, target, compared.gone_columns))
    return Findings(step=step, compared=compared, differences=combine(listed))


def forgotten_columns(database: Database, target: Target, gone: Sequence[str]) -> tuple[str, ...]:
    """Return the columns in ``gone`` that have values in the target, which a sync sets to NULL.

    :raises TableError: if one of them is not nullable
    """
    if not gone:
        return ()
    with naming_table(target.name), database.connect() as connection:
        return columns_with_values(database, connection, target.table, gone)


def _compare_segments(client: SyncClient, database: Database, target: Target, step: Step) -> ComparedSegments:
    sample = PROBE_SEGMENTS if step.action is Action.PROBE else 0
    return compare_segments(client, database, target, step.partitioning, sample=sample)


def _segment_facts(compared: ComparedSegments, step: Step) -> SegmentFacts:
    # A source that cannot look up single segments answers a probe with all segments.
    return SegmentFacts(
        partitioning=compared.partitioning,
        cut=step.cut,
        is_probe=compared.is_probe,
        estimated_rows=compared.described.rows,
        source_rows=compared.source_rows,
        target_rows=compared.target_rows,
        segments=len(compared.numbers),
        differing=len(compared.differing),
        differing_rows=sum(compared.rows_in(compared.differing).values()),
    )


def _sample_rows(client: SyncClient, database: Database, compared: ComparedSegments, stride: int) -> SampleFacts:
    """Compare the rows of some of the differing segments."""
    numbers = compared.differing[::stride]
    # A probe's segments, including the equal ones, represent the whole table.
    represented = compared.numbers if compared.is_probe else numbers
    changes = compare_slice(client, database, compared, numbers).changes
    return SampleFacts(
        wanted=len(changes.wanted),
        changed=len(changes),
        source_rows=compared.source_rows_in(represented),
        rows=sum(compared.rows_in(represented).values()),
    )


def _row_facts(facts: Facts, found: Differences, is_complete: bool) -> RowFacts:
    before = facts.rows or RowFacts()
    return RowFacts(
        wanted=before.wanted + len(found.announced),
        deleted=before.deleted + len(found.changes.deleted),
        is_complete=is_complete,
    )


def _key_slice(database: Database, target: Target) -> TableSlice:
    """Return the target's key columns whose types version 2 supports."""
    types = [database.catalog.logical_type(column) for column in target.key_columns]
    key = tuple(CanonicalColumn(column=column, type=kind) for column, kind in zip(target.key_columns, types, strict=True) if kind)
    return TableSlice(table=target.table, columns=key, key=key, key_range=target.key_range)

"""Diagnose why a table differs from its source although both look alike, column by column, with sample values of both sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.table_errors import naming_table
from airflow_provider_sync.databases.table_slice import Key
from airflow_provider_sync.databases.type_rules import map_type
from airflow_provider_sync.exceptions import ConfigurationError, TableError
from airflow_provider_sync.merge.gone_columns import forgotten_in_words
from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.protocol.v2.messages import ColumnDescription, Described, DescribeTable, GetRows
from airflow_provider_sync.sync.tables.missing_target import find_target, present_target
from airflow_provider_sync.sync.tables.schema_changes import SchemaChanges, changes_in_words, plan_schema_changes
from airflow_provider_sync.sync.tables.target import Target, with_row_security
from airflow_provider_sync.sync.tables.unequal_values import OTHER, explain, likely_reason
from airflow_provider_sync.sync.tables.version1.hashes import compare_hashes
from airflow_provider_sync.sync.tables.version2.column_mapping import requested_slice_for
from airflow_provider_sync.sync.tables.version2.compared_segments import ComparedSegments
from airflow_provider_sync.sync.tables.version2.comparison import compare_rows, compare_segments
from airflow_provider_sync.sync.tables.version2.follow_plan import follow_plan, forgotten_columns, target_facts
from airflow_provider_sync.sync.tables.version2.plan import Action, plan_diff
from airflow_provider_sync.sync.tables.version2.reclassify import reclassify
from airflow_provider_sync.sync.tables.version2.row_changes import RowChanges
from airflow_provider_sync.sync.time_limit import within_max_seconds

MAX_READ = 200
"""Maximum number of rows whose values are read to find the reason for a difference."""

SAMPLES = 3
SHOWN = 40
"""Maximum number of characters of a value that are shown."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A pair of values that differ, shortened.

    :ivar key: key of their row
    """

    key: tuple[str, ...]
    source: str | None
    target: str | None


class ColumnFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A difference in one column.

    :ivar rows: number of rows in which the column differs; 0 if its values were not compared
    :ivar reason: the likely cause
    """

    column: str
    rows: int = 0
    reason: str
    samples: tuple[Sample, ...] = ()


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """The diagnosis of one table.

    :ivar target_missing: whether the target does not exist; a run would create it
    :ivar columns: columns with a finding
    :ivar missing: number of rows that only the source has
    :ivar surplus: number of rows that only the target has
    :ivar keys: likely reason why rows are missing and surplus, if their keys are nearly equal
    :ivar notes: facts that are no differences but may explain one
    """

    name: str
    target_missing: bool = False
    columns: tuple[ColumnFinding, ...] = ()
    missing: int = 0
    surplus: int = 0
    keys: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether a sync would change the table, or would fail."""
        return bool(self.target_missing or self.columns or self.missing or self.surplus)


@within_max_seconds
def diagnose_table(client: SyncClient, options: TargetTable, database: Database) -> Diagnosis:
    """Compare a table with its source: columns, types, rows, and then the values of each column separately.

    If the tables differ, each column costs a scan of both sides.

    :raises ConfigurationError: if the table differs and the server speaks only version 1, which cannot compare single columns
    :raises MissingTableError: if the target is missing, and a run would not create it
    """
    if client.protocol_for() == 1:
        compared = compare_hashes(client, database, present_target(client, database, options))
        if not compared.differs:
            return Diagnosis(name=options.name, notes=compared.warnings)
        raise ConfigurationError(
            f"Table {options.name!r}: the server speaks version 1 of the protocol, which tells no column from another."
            " Use 'diff', or a server with version 2."
        )
    database = with_row_security(database, [options])
    target = find_target(client, database, options)
    if target is None:
        note = f"There is no table {options.table_name!r} in the target database yet. A run makes it (create_table is set)."
        return Diagnosis(name=options.name, target_missing=True, notes=(note,))
    with client.describe_table(DescribeTable(table_slice=requested_slice_for(target), digests=False)) as answer:
        described = answer.described
    planned, notes = _plan(database, target, described)
    unusable = tuple(_misfits(database, target, described, planned))
    left_out = {*(finding.column for finding in unusable), *planned.left_out}
    notes += _notes(database, target, described)
    if left_out & set(described.key):
        return Diagnosis(name=options.name, columns=unusable, notes=notes)
    usable = [column for column in described.columns if column.name not in left_out]
    with naming_table(options.name):
        segments = compare_segments(client, database, _narrowed(target, described, [column.name for column in usable]))
    if not segments.differing:
        return Diagnosis(name=options.name, columns=unusable, notes=notes)
    rows = _Rows(client, database, target, described)
    findings = [rows.of_column(column) for column in usable if column.name not in described.key]
    return Diagnosis(
        name=options.name,
        columns=(*unusable, *filter(None, findings)),
        missing=len(rows.missing),
        surplus=len(rows.surplus),
        keys=rows.reason_of_keys(),
        notes=notes,
    )


def _plan(database: Database, target: Target, described: Described) -> tuple[SchemaChanges, tuple[str, ...]]:
    """Return the schema changes that ``on_schema_change`` would cause, and notes about them."""
    if target.options.on_schema_change == "fail":
        return SchemaChanges(), ()
    try:
        planned = plan_schema_changes(database, target, described)
    except TableError as error:
        return SchemaChanges(), (str(error),)
    notes = [f"A run would {change}." for change in changes_in_words(database, planned)]
    notes += [f"A run leaves out column {name!r}, which only the source has." for name in planned.left_out]
    return planned, tuple(notes)


def _misfits(database: Database, target: Target, described: Described, planned: SchemaChanges) -> Iterable[ColumnFinding]:
    """Find columns that the target lacks, or that cannot hold the source's values."""
    target_columns = {column.name: column for column in target.table.columns}
    for column in described.columns:
        name = target.options.renames.get(column.name, column.name)
        if column.name in planned.left_out:
            continue
        if name not in target_columns:
            yield ColumnFinding(column=column.name, reason=f"the target has no column {name!r}")
            continue
        try:
            map_type(str(target.table), column.type, target_columns[name], database.catalog.logical_type(target_columns[name]))
        except TableError as error:
            yield ColumnFinding(column=column.name, reason=str(error))


def _notes(database: Database, target: Target, described: Described) -> tuple[str, ...]:
    known = {target.options.renames.get(column.name, column.name) for column in described.columns}
    extra = [column.name for column in target.table.columns if column.name not in known]
    if gone := target.gone_columns(known, protocol=2):
        try:
            return tuple(f"A run would {change}." for change in forgotten_in_words(forgotten_columns(database, target, gone)))
        except TableError as error:
            return (str(error),)
    return (f"Only the target has {', '.join(extra)}, which a sync leaves alone.",) if extra else ()


def _narrowed(target: Target, described: Described, names: Sequence[str]) -> Target:
    """Return the target limited to these columns of the source and those of its key."""
    chosen = {*names, *described.key}
    renames = {name: renamed for name, renamed in target.options.renames.items() if name in chosen}
    chosen_options = {
        "columns": tuple(names) or described.key,
        "renames": renames,
        "on_schema_change": "fail",
        "gone_columns": "keep",
    }
    return msgspec.structs.replace(target, options=target.options.model_copy(update=chosen_options))


class _Rows:
    """The rows of both sides.

    :ivar missing: keys that only the source has
    :ivar surplus: keys that only the target has
    """

    def __init__(self, client: SyncClient, database: Database, target: Target, described: Described) -> None:
        self.client = client
        self.database = database
        self.target = target
        self.described = described
        _, changes = self._differing([])
        self.missing, self.surplus = changes.inserted, changes.deleted

    def of_column(self, column: ColumnDescription) -> ColumnFinding | None:
        """Find the rows in which a column differs, and the likely reason."""
        compared, changes = self._differing([column.name])
        updated = changes.updated
        if not updated:
            return None
        read = updated[:MAX_READ]
        source, target = self._source_values(compared, read), self._target_values(compared, read)
        pairs = {
            key: (source[key], target[key]) for key in read if key in source and key in target and source[key] != target[key]
        }
        reason = likely_reason(column.type, pairs.values())
        fitting = [key for key, pair in pairs.items() if explain(column.type, *pair) == reason] or list(pairs)
        samples = tuple(Sample(key=key, source=_shown(pairs[key][0]), target=_shown(pairs[key][1])) for key in fitting[:SAMPLES])
        return ColumnFinding(column=column.name, rows=len(updated), reason=reason, samples=samples)

    def reason_of_keys(self) -> str | None:
        """Return the likely reason why keys of both sides are nearly equal; ``None`` if they are not."""
        if not (self.missing and self.surplus):
            return None
        types = {column.name: column.type for column in self.described.columns}
        kinds = [types[name] for name in self.described.key]
        reasons = []
        for key, other in zip(sorted(self.missing)[:MAX_READ], sorted(self.surplus)[:MAX_READ], strict=False):
            for kind, source, target in zip(kinds, key, other, strict=True):
                if source != target:
                    reasons.append((kind, (source, target)))
        if not reasons:
            return None
        reason = likely_reason(reasons[0][0], [pair for _, pair in reasons])
        return None if reason == OTHER else reason

    def _differing(self, names: Sequence[str]) -> tuple[ComparedSegments, RowChanges]:
        target = _narrowed(self.target, self.described, names)
        findings = follow_plan(self.client, self.database, target, target_facts(target), plan_diff)
        compared = findings.compared
        if findings.step.action is Action.DONE:
            return compared, RowChanges()
        found = compare_rows(self.client, self.database, compared)
        return compared, reclassify(self.client, self.database, compared, found).changes

    def _source_values(self, compared: ComparedSegments, keys: Sequence[Key]) -> Mapping[Key, str | None]:
        request = GetRows(table_slice=compared.without_window, keys=tsv.encode_keys(keys).decode())
        with self.client.get_rows(request, columns=len(compared.table_slice.columns)) as answer:
            return _values(compared, (rows.data for rows in answer))

    def _target_values(self, compared: ComparedSegments, keys: Sequence[Key]) -> Mapping[Key, str | None]:
        table_slice = compared.table_slice.unwindowed
        with self.database.snapshot() as connection:
            return _values(compared, (block for _, block in self.database.reader.read_text(connection, table_slice, keys)))


def _values(compared: ComparedSegments, blocks: Iterable[bytes]) -> dict[Key, str | None]:
    """Return the values of the one column outside the key, by key."""
    names = [column.name for column in compared.described.columns]
    places = [names.index(name) for name in compared.described.key]
    value = next(place for place in range(len(names)) if place not in places)
    found: dict[Key, str | None] = {}
    for block in blocks:
        for row in tsv.decode_rows(block, len(names)):
            texts = [None if field is None else field.decode() for field in row]
            found[tuple(texts[place] or "" for place in places)] = texts[value]
    return found


def _shown(text: str | None) -> str | None:
    return text if text is None or len(text) <= SHOWN else text[:SHOWN] + "…"

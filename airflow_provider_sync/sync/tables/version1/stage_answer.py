"""Stage one answer to ``/getTable``: map its columns, convert its times to UTC, and hash its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter

from sqlalchemy import Connection

from airflow_provider_sync.client import TableAnswer
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.contract.ddl import StagingLayout
from airflow_provider_sync.databases.schema import Column, Kind, Row
from airflow_provider_sync.databases.version1_hash import zoned_places
from airflow_provider_sync.exceptions import NOTHING_CHANGED, DuplicateKeyError, TableError
from airflow_provider_sync.merge.staging import Staging
from airflow_provider_sync.protocol.v1.table_hash import AnswerHash
from airflow_provider_sync.sync.progress import RowProgress
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.version1.column_mapping import ColumnMapping, map_sent_columns
from airflow_provider_sync.sync.tables.version1.source_zone import SourceZone, rows_in_common
from airflow_provider_sync.time_zones import NoSuchTimeError, TimeZone

_KEPT_ROWS = 20_000
"""Rows with which the next one is compared, at least."""

_EQUAL_ROWS = "in which values of the rows that are there agree with the source's"


@dataclass(frozen=True, slots=True)
class StagedAnswer:
    """The result of staging one answer.

    :ivar columns: columns of the target that were staged
    :ivar source_columns: names of all columns in the answer
    :ivar rows: number of rows
    :ivar one_snapshot: whether all rows are from one snapshot
    :ivar zone: the source's time zone
    :ivar repeated: number of ambiguous local times (end of daylight saving time), which may be an hour late
    :ivar hashed: the hash of the rows as they came; ``None`` without ``hashing``
    """

    columns: tuple[Column, ...]
    source_columns: tuple[str, ...]
    rows: int
    one_snapshot: bool
    zone: SourceZone
    repeated: int
    hashed: AnswerHash | None


class RepeatedRows:
    """Finds a row that comes twice in an answer, a few pages apart at most.

    :ivar found: whether there was one
    """

    def __init__(self) -> None:
        self.found = False
        self._last: dict[int, None] = {}

    def watch(self, batches: Iterator[Sequence[Row]]) -> Iterator[Sequence[Row]]:
        """Pass batches on, each after a look at its rows."""
        for rows in batches:
            self.look(rows)
            yield rows

    def look(self, rows: Sequence[Row]) -> None:
        """Compare rows with those before them."""
        for digest in map(hash, map(tuple, rows)):
            self.found = self.found or digest in self._last
            self._last[digest] = None
        for digest in list(islice(self._last, max(0, len(self._last) - _KEPT_ROWS))):
            del self._last[digest]


def stage(
    database: Database,
    connection: Connection,
    target: Target,
    staging: Staging,
    answer: TableAnswer,
    *,
    first: Sequence[Row],
    rest: Iterator[Sequence[Row]],
    zone: SourceZone,
    hashing: bool,
    on_rows: RowProgress,
    repeats: RepeatedRows | None = None,
) -> StagedAnswer:
    """Stage all rows of a response in a new staging table; the table of an earlier attempt is dropped.

    :param first: the first batch of rows
    :param rest: the other batches
    :param hashing: whether to hash the rows as they came
    :param repeats: sees all rows before they are staged
    :raises DuplicateKeyError: if two rows have the same key
    :raises IncompleteStreamError: if the response is cut off
    """
    mapping = map_sent_columns(target, answer.columns) if first else ColumnMapping(columns=target.table.columns)
    hashed = AnswerHash() if hashing else None

    layout = StagingLayout(
        target=target.table, columns=mapping.columns, primary_key=target.key, indexes=target.options.import_indexes
    )

    def begin() -> None:
        staging.drop(connection)
        staging.create(connection, layout)

    if repeats is not None:
        repeats.look(first)
        rest = repeats.watch(rest)
    begin()
    converter = _Converter(database, mapping, zone.zone)
    loaded = 0
    try:
        if zone.other is not None and first:
            zone, converter, loaded = _decide(database, connection, target, staging, mapping, zone, first, begin)
        rows = _Passing(converter, hashed, on_rows)
        if loaded:
            rows.pass_by(first)
            batches = rest
        else:
            batches = _joined(first, rest)
        loaded += staging.load(connection, target.table, rows.converted(batches))
    except DuplicateKeyError as error:
        raise _repeated_time(target, zone.zone, error) from error
    if loaded != rows.count:
        raise TableError(f"Table {target.name!r}: {rows.count} rows came, but {loaded} were staged.", NOTHING_CHANGED)
    return StagedAnswer(
        columns=mapping.columns,
        source_columns=tuple(answer.columns),
        rows=loaded,
        one_snapshot=answer.one_snapshot,
        zone=zone,
        repeated=converter.repeated,
        hashed=hashed,
    )


def _decide(
    database: Database,
    connection: Connection,
    target: Target,
    staging: Staging,
    mapping: ColumnMapping,
    zone: SourceZone,
    first: Sequence[Row],
    begin: Callable[[], None],
) -> tuple[SourceZone, _Converter, int]:
    """Stage the first rows in each of two time zones, and keep the zone in which more values equal the target's."""
    zoned = [mapping.columns[place] for place in zoned_places(database, mapping.columns)]
    if not zoned:
        return zone.decided(zone.zone, ""), _Converter(database, mapping, zone.zone), 0

    def load(candidate: TimeZone) -> tuple[_Converter, int, int]:
        converter = _Converter(database, mapping, candidate)
        loaded = staging.load(connection, target.table, [converter.convert(first)])
        return converter, loaded, rows_in_common(database, connection, target.table, staging.table, target.key_columns, zoned)

    failure: TableError | None = None
    try:
        converter, loaded, common = load(zone.zone)
    except DuplicateKeyError:
        raise
    except TableError as error:
        failure, converter, loaded, common = error, _Converter(database, mapping, zone.zone), 0, -1
    if common == loaded * len(zoned):
        return zone.decided(zone.zone, _EQUAL_ROWS), converter, loaded
    other = zone.other or zone.zone
    begin()
    try:
        second, loaded, found = load(other)
    except TableError:
        if failure is not None:
            raise failure from None
        found = -1
    if found > common:
        return zone.decided(other, _EQUAL_ROWS if found else "since times that came do not fit the default one"), second, loaded
    begin()
    converter, loaded, _ = load(zone.zone)
    return zone.decided(zone.zone, _EQUAL_ROWS if common else zone.doubt or ""), converter, loaded


def _repeated_time(target: Target, zone: TimeZone, error: DuplicateKeyError) -> DuplicateKeyError:
    """Return the error for two rows with the same key, with a hint if ambiguous local times may be the cause."""
    times = [column.name for column in target.key_columns if column.kind is Kind.TIMESTAMP]
    if not times or zone.offset is not None:
        return error
    return DuplicateKeyError(
        f"Table {target.name!r}: several rows of the source have one key ({', '.join(target.key)}) in the target. Version 1 sends"
        f" {', '.join(times)} by the clock of {zone.name}, on which an hour comes twice when summer time ends.",
        NOTHING_CHANGED,
        "Let the source's database run in UTC, or use version 2 on both ends.",
    )


class _Converter:
    """Turns rows as they came into rows of the staging table."""

    def __init__(self, database: Database, mapping: ColumnMapping, zone: TimeZone) -> None:
        self.repeated = 0
        self._zone = zone
        self._columns = mapping.columns
        self._places = [] if zone.is_utc else zoned_places(database, mapping.columns)
        positions = mapping.positions
        if positions is None:
            self._pick: Callable[[Row], Row] | None = None
        else:
            self._pick = itemgetter(*positions) if len(positions) > 1 else lambda row: (row[positions[0]],)

    def convert(self, rows: Sequence[Row]) -> Sequence[Row]:
        picked = rows if self._pick is None else list(map(self._pick, rows))
        if not self._places or not picked:
            return picked
        columns = list(zip(*picked, strict=True))
        for place in self._places:
            try:
                texts, repeated = self._zone.to_utc(columns[place])
            except NoSuchTimeError as error:
                raise NoSuchTimeError(f"Column {self._columns[place].name!r}: {error}").without_subject() from error
            columns[place] = tuple(texts)
            self.repeated += repeated
        return list(zip(*columns, strict=True))


class _Passing:
    """Rows that are counted and hashed as they pass."""

    def __init__(self, converter: _Converter, hashed: AnswerHash | None, on_rows: RowProgress) -> None:
        self.count = 0
        self._converter = converter
        self._hashed = hashed
        self._on_rows = on_rows

    def pass_by(self, rows: Sequence[Row]) -> None:
        self.count += len(rows)
        self._on_rows(len(rows))
        if self._hashed is not None:
            self._hashed.update(rows)

    def converted(self, batches: Iterator[Sequence[Row]]) -> Iterator[Sequence[Row]]:
        for rows in batches:
            self.pass_by(rows)
            yield self._converter.convert(rows)


def _joined(first: Sequence[Row], rest: Iterator[Sequence[Row]]) -> Iterator[Sequence[Row]]:
    yield first
    yield from rest

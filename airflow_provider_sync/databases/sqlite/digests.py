"""Version 2 of the protocol on SQLite: texts made by SQL, digests by Python, which SQLite has none of.

Rows are streamed and hashed in batches, column by column. Row texts put together by SQL cost as much as they spare, a function
that SQLite calls to hash each of them a twentieth more, and an aggregate function a quarter more (CPU time for rows of five
columns).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import compress, groupby, product, repeat
from threading import Lock
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.canonical import CanonicalColumn, Keys, SegmentDigest, TableSlice
from airflow_provider_sync.databases.schema import Column, Table, Value
from airflow_provider_sync.databases.sqlite.affinities import Affinity, affinity_of
from airflow_provider_sync.databases.sqlite.key_forms import adopt_keys
from airflow_provider_sync.databases.sqlite.session import driver_of
from airflow_provider_sync.databases.sqlite.text import (
    ANY,
    SECONDS,
    expression,
    logical_type,
    stored_expression,
)
from airflow_provider_sync.databases.sqlite.text_load import load_blocks, stored_value
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.messages import Partitioning
from airflow_provider_sync.protocol.v2.row_text import digest_rows
from airflow_provider_sync.protocol.v2.tsv import encode_rows
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_BLOCK_BYTES = 256 * 1024
"""About how much text goes into one block of :meth:`SQLiteCanonical.read_text`."""

_FETCHED_ROWS = 1_000
"""Rows that are fetched and put into their form at once: few enough for the processor's own memory, which pays."""

_FETCHING = Lock()
"""Held by the thread that fetches: the driver lets other threads run at every row, and two that fetch would take turns at each,
which takes half as long again as one after the other."""

_LOOKUP_VALUES = 900
"""Values bound in one statement that looks rows up; older builds of SQLite allow 999."""

_NUMERIC = frozenset({Affinity.INTEGER, Affinity.NUMERIC, Affinity.REAL})
_SUM_MODULUS = 2**64

Text = tuple[Any, ...]
"""A row of canonical texts: ``bytes`` or ``None``."""


class SQLiteCanonical(Database):
    """The part of :class:`~.sqlite.database.SQLiteDatabase` that version 2 needs."""

    def logical_type(self, column: Column) -> LogicalType:
        """Take the declaration at its word; see :func:`.text.logical_type`."""
        return logical_type(column)

    def key_bounds(self, connection: Connection, table_slice: TableSlice) -> tuple[int, int] | None:
        """Ask the index from both ends.

        :raises TableError: when a key is no integer, whatever its column is declared to be
        """
        key = table_slice.key[0].column
        name = self.quote(key.name)
        condition, values = self._window(table_slice)
        # One subquery for each end: SQLite looks an index up for a minimum only where it stands alone.
        ends = ", ".join(
            f"(SELECT {end}({name}) FROM {self.qualified(table_slice.table)} AS t{_where(condition)})" for end in ("min", "max")
        )
        low, high = driver_of(connection).execute(f"SELECT {ends}", values * 2).fetchone()
        if low is None:
            return None
        if not (isinstance(low, int) and isinstance(high, int)):
            raise TableError(
                f"Table {str(table_slice.table)!r}: the key {key.name!r} is declared {key.sql_type} and has values"
                " that are no integers. Correct them, or declare the column TEXT."
            )
        return low, high

    def estimate_rows(self, connection: Connection, table_slice: TableSlice) -> int:
        """Count them: SQLite keeps no statistics, and counts millions in a blink."""
        condition, values = self._window(table_slice)
        statement = f"SELECT COUNT(*) FROM {self.qualified(table_slice.table)} AS t{_where(condition)}"
        return int(driver_of(connection).execute(statement, values).fetchone()[0])

    def digest_segments(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning
    ) -> Mapping[int, SegmentDigest]:
        """Stream all rows and add their digests up."""
        counts: dict[int, int] = {}
        sums: dict[int, int] = {}
        place = _places(table_slice)[0]
        condition, values = self._window(table_slice)
        for rows in _stream(connection, self._select(table_slice, table_slice.columns, condition), values):
            digests = digest_rows(rows, _kinds(table_slice))
            # Neighbours share a segment where the rows come in the order of their keys.
            start = 0
            for number, same in groupby(_numbers(partitioning, [row[place] for row in rows], digests)):
                end = start + len(list(same))
                counts[number] = counts.get(number, 0) + end - start
                sums[number] = sums.get(number, 0) + sum(digests[start:end])
                start = end
        return {number: SegmentDigest(rows=counts[number], sum=sums[number] % _SUM_MODULUS) for number in sorted(counts)}

    def digest_rows(
        self,
        connection: Connection,
        table_slice: TableSlice,
        partitioning: Partitioning,
        segment_ranges: Sequence[tuple[int, int]],
    ) -> Iterator[list[tuple[tuple[str, ...], int]]]:
        """Look stretches of an indexed integer key up; otherwise, stream all rows and choose."""
        condition, values = self._window(table_slice)
        if partitioning.scheme == "row_hash":
            yield from self._digests(
                connection,
                table_slice,
                self._select(table_slice, table_slice.columns, condition),
                values,
                partitioning,
                segment_ranges,
            )
            return
        key = table_slice.key[0].column
        ordered = self.quote(key.name) if _affinity(key) in _NUMERIC else f"sync_order({self.quote(key.name)})"
        if _affinity(key) not in _NUMERIC or not table_slice.table.is_indexed(key.name):
            statement = f"{self._select(table_slice, table_slice.columns, condition)} ORDER BY {ordered}"
            yield from self._digests(connection, table_slice, statement, values, partitioning, segment_ranges)
            return
        for segment_range in segment_ranges:
            bounds = " AND ".join(filter(None, [condition, *_bounds(ordered, partitioning, segment_range)]))
            statement = f"{self._select(table_slice, table_slice.columns, bounds)} ORDER BY {ordered}"
            yield from self._digests(connection, table_slice, statement, values, partitioning, [segment_range])

    def digest_keys(
        self, connection: Connection, table_slice: TableSlice, keys: Keys
    ) -> Iterator[list[tuple[tuple[str, ...], int]]]:
        """Look the rows up by their keys."""
        expressions = [self._canonical(column) for column in table_slice.columns]
        for found, rows in self._lookup(connection, table_slice, keys, expressions):
            yield list(zip(found, digest_rows(rows, _kinds(table_slice)), strict=True))

    def read_text(self, connection: Connection, table_slice: TableSlice, keys: Keys | None = None) -> Iterator[tuple[int, bytes]]:
        """Stream the rows; moments that are no key travel as they are written, and count by what they mean."""
        key = {column.column.name for column in table_slice.key}
        expressions = [
            self._canonical(column) if column.column.name in key else self._canonical(column, stored_expression)
            for column in table_slice.columns
        ]
        if keys is not None:
            for _, rows in self._lookup(connection, table_slice, keys, expressions):
                yield from _blocks(rows)
            return
        condition, values = self._window(table_slice)
        statement = f"SELECT {', '.join(expressions)} FROM {self.qualified(table_slice.table)} AS t{_where(condition)}"
        for rows in _stream(connection, statement, values):
            yield from _blocks(rows)

    def load_text(
        self, connection: Connection, staging: Table, columns: Sequence[CanonicalColumn], blocks: Iterable[bytes]
    ) -> int:
        """Insert exactly what came, or refuse it; see :func:`.text_load.load_blocks`."""
        return load_blocks(connection, staging, self.qualified(staging), self.quote, columns, blocks)

    def adopt_keys(self, connection: Connection, target: Table, staging: Table, key: Sequence[CanonicalColumn]) -> None:
        """See :func:`.key_forms.adopt_keys`."""
        columns = [column.column for column in key]
        adopt_keys(connection, self.qualified(target), self.qualified(staging), columns, self.quote)

    def _inner(self, column: CanonicalColumn) -> str:
        return f"t.{self.quote(column.column.name)}"

    def _canonical(self, column: CanonicalColumn, render: Callable[[str, LogicalType, Affinity], str] = expression) -> str:
        """Return the expression for the text of a column of the table that is called ``t``."""
        return f"CAST({render(self._inner(column), column.type, _affinity(column.column))} AS TEXT)"

    def _select(self, table_slice: TableSlice, columns: Sequence[CanonicalColumn], condition: str) -> str:
        """Return the statement that reads canonical texts; its table is called ``t``."""
        expressions = ", ".join(map(self._canonical, columns))
        return f"SELECT {expressions} FROM {self.qualified(table_slice.table)} AS t{_where(condition)}"

    def _window(self, table_slice: TableSlice) -> tuple[str, tuple[Value, ...]]:
        """Return the condition of the part's window and range of keys, and its values, or nothing; the table is called ``t``."""
        conditions = list(self._key_range_conditions(table_slice))
        if table_slice.window is None:
            return " AND ".join(conditions), ()
        window = table_slice.window
        column = next((column for column in table_slice.columns if column.column.name == window.column), None)
        if column is None:
            declared = table_slice.table.column(window.column)
            column = CanonicalColumn(column=declared, type=logical_type(declared))
        name = self._inner(column)
        values: tuple[Value, ...] = (window.start, window.end)
        if column.type.kind in _NUMBERS:
            if _affinity(column.column) not in _NUMERIC:
                name = f"CAST({name} AS NUMERIC)"
            values = (_number_value(window.start), _number_value(window.end))
        else:
            name = self._canonical(column)
        return " AND ".join([*conditions, f"{name} >= ? AND {name} < ?"]), values

    def _key_range_conditions(self, table_slice: TableSlice) -> Iterator[str]:
        """Yield the conditions of the part's range of keys; numbers are spelled out, since they may exceed 64 bits."""
        if table_slice.key_range is None:
            return
        key = table_slice.key[0]
        name = self._inner(key) if _affinity(key.column) in _NUMERIC else f"sync_order({self._inner(key)})"
        for sign, end in zip((">=", "<="), table_slice.key_range, strict=True):
            if end is not None:
                yield f"{name} {sign} {end}"

    def _digests(
        self,
        connection: Connection,
        table_slice: TableSlice,
        statement: str,
        values: tuple[Value, ...],
        partitioning: Partitioning,
        segment_ranges: Sequence[tuple[int, int]],
    ) -> Iterator[list[tuple[tuple[str, ...], int]]]:
        places = _places(table_slice)
        chosen = {number for first, last in segment_ranges for number in range(first, last + 1)}
        for rows in _stream(connection, statement, values):
            digests = digest_rows(rows, _kinds(table_slice))
            columns = [[row[place] for row in rows] for place in places]
            found = [number in chosen for number in _numbers(partitioning, columns[0], digests)]
            keys = _keys(compress(column, found) for column in columns)
            yield list(zip(keys, compress(digests, found), strict=True))

    def _lookup(
        self, connection: Connection, table_slice: TableSlice, keys: Keys, expressions: Sequence[str]
    ) -> Iterator[tuple[list[tuple[str, ...]], list[Text]]]:
        """Read ``expressions`` of the rows with these keys, and the keys' canonical texts.

        Rows are looked up by whatever may be stored for a key, and chosen by their canonical texts.
        """
        condition, values = self._window(table_slice)
        selected = [*expressions, *map(self._canonical, table_slice.key)]
        width = len(expressions)
        wanted = list(dict.fromkeys(keys))
        if any(column.type.kind in SECONDS for column in table_slice.key):
            # Stored in many forms: none of them can be looked up.
            statement = f"SELECT {', '.join(selected)} FROM {self.qualified(table_slice.table)} AS t{_where(condition)}"
            yield from _choose(_stream(connection, statement, values), set(wanted), width)
            return
        match = " AND ".join(f"{self._inner(column)} = w.column{number + 1}" for number, column in enumerate(table_slice.key))
        marks = f"({', '.join('?' * len(table_slice.key))})"
        step = max(1, _LOOKUP_VALUES // (len(table_slice.key) * 2 ** len(table_slice.key)))
        for start in range(0, len(wanted), step):
            chunk = wanted[start : start + step]
            candidates = [values for key in chunk for values in product(*map(_candidates, key, table_slice.key))]
            statement = (
                f"SELECT {', '.join(selected)} FROM (VALUES {', '.join([marks] * len(candidates))}) AS w"
                f" CROSS JOIN {self.qualified(table_slice.table)} AS t ON {match}{_where(condition)}"
            )
            bound = (*(value for candidate in candidates for value in candidate), *values)
            yield from _choose(_stream(connection, statement, bound), set(chunk), width)


_NUMBERS = frozenset({LogicalKind.INTEGER, LogicalKind.DECIMAL, LogicalKind.FLOAT})


def _stream(connection: Connection, statement: str, values: tuple[Value, ...]) -> Iterator[list[Text]]:
    """Run a statement and fetch its texts as bytes, whatever they are."""
    driver = driver_of(connection)
    cursor = driver.execute(statement, values)
    try:
        while rows := _fetch(driver, cursor):
            yield rows
    finally:
        cursor.close()


def _fetch(driver: Any, cursor: Any) -> list[Text]:
    # Only meanwhile, since whoever takes the rows may ask the same connection for others.
    factory = driver.text_factory
    driver.text_factory = bytes
    try:
        with _FETCHING:
            return cursor.fetchmany(_FETCHED_ROWS)  # type: ignore[no-any-return]  # a list of tuples
    finally:
        driver.text_factory = factory


def _choose(
    batches: Iterable[list[Text]], wanted: set[tuple[str, ...]], width: int
) -> Iterator[tuple[list[tuple[str, ...]], list[Text]]]:
    """Keep the rows whose key, in the columns from ``width`` on, is wanted; each once."""
    for rows in batches:
        keys: list[tuple[str, ...]] = []
        chosen: list[Text] = []
        columns = ([row[place] for row in rows] for place in range(width, len(rows[0])))
        for row, key in zip(rows, _keys(columns), strict=True):
            if key in wanted:
                wanted.remove(key)
                keys.append(key)
                chosen.append(row[:width])
        if keys:
            yield keys, chosen


def _candidates(text: str, column: CanonicalColumn) -> Sequence[Value]:
    """Return what may be stored for the canonical text of a key, at most two values; comparisons convert to numbers."""
    affinity = _affinity(column.column)
    kind = column.type.kind
    if kind is LogicalKind.UUID:
        return (text, text.upper())
    if kind is LogicalKind.BYTES or column.type == ANY or (kind in _NUMBERS and affinity is not Affinity.TEXT):
        try:
            value = stored_value(text, column.type, Affinity.REAL if kind in _NUMBERS else affinity)
        except ValueError:
            return (text,)
        return (value, value.decode(errors="replace")) if isinstance(value, bytes) else (text, value)
    return (text,) if affinity in _NUMERIC else (text, text.encode())


def _numbers(partitioning: Partitioning, keys: Sequence[bytes | None], digests: Sequence[int]) -> list[int]:
    """Return the numbers of the rows' segments."""
    if partitioning.scheme == "row_hash":
        return [digest >> partitioning.shift for digest in digests]
    low, high, width = partitioning.low, partitioning.high, partitioning.width
    try:
        numbers = list(map(int, keys))  # type: ignore[arg-type]  # NULL is what the handler is for
    except (TypeError, ValueError):
        return [_number(partitioning, key) for key in keys]
    if numbers and low <= min(numbers) and max(numbers) <= high:
        return [(number - low) // width for number in numbers]
    return [_number(partitioning, number) for number in numbers]


def _number(partitioning: Partitioning, key: int | bytes | None) -> int:
    try:
        number = int(key)  # type: ignore[arg-type]  # as above
    except (TypeError, ValueError):
        # SQLite sorts text behind all numbers, and NULL before them.
        return -1 if key is None else partitioning.segment_count
    if number < partitioning.low:
        return -1
    return partitioning.segment_count if number > partitioning.high else (number - partitioning.low) // partitioning.width


def _number_value(text: str) -> Value:
    try:
        number = int(text)
        if -(1 << 63) <= number < 1 << 63:
            return number
    except ValueError:
        pass
    try:
        # Also of an integer that SQLite does not have: it is beyond all of those in the column.
        return float(text)
    except ValueError:
        raise TableError(f"A window cannot begin or end at {text[:80]!r}: its column holds numbers.").anonymously() from None


def _bounds(name: str, partitioning: Partitioning, segment_range: tuple[int, int]) -> Iterator[str]:
    """Return the conditions that hold for the keys of a run; numbers are spelled out, since they may exceed 64 bits."""
    first, last = segment_range
    if first >= 0:
        yield f"{name} >= {min(partitioning.high + 1, partitioning.low + first * partitioning.width)}"
    if last < partitioning.segment_count:
        yield f"{name} <= {min(partitioning.high, partitioning.low + (last + 1) * partitioning.width - 1)}"


def _blocks(rows: Sequence[Text]) -> Iterator[tuple[int, bytes]]:
    """Write rows as TSV, in blocks of about :data:`_BLOCK_BYTES`, guessed from the first rows."""
    step = max(1, min(len(rows), _BLOCK_BYTES * 20 // (1 + len(encode_rows(rows[:20])))))
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step]
        yield len(chunk), encode_rows(chunk)


def _keys(columns: Iterable[Iterable[bytes | None]]) -> list[tuple[str, ...]]:
    """Read keys from the columns that they are made of."""
    try:
        return list(zip(*(map(str, column, repeat("utf-8")) for column in columns), strict=True))  # type: ignore[arg-type]  # NULL
    except TypeError as error:
        raise TableError(
            "A part of a key is NULL, which identifies no row. Choose other columns with `primary`."
        ).anonymously() from error
    except UnicodeDecodeError as error:
        raise TableError(
            "A key is not valid UTF-8, which identifies no row elsewhere. Correct it at the source."
        ).anonymously() from error


def _places(table_slice: TableSlice) -> list[int]:
    names = [column.column.name for column in table_slice.columns]
    return [names.index(column.column.name) for column in table_slice.key]


def _kinds(table_slice: TableSlice) -> list[LogicalKind]:
    return [column.type.kind for column in table_slice.columns]


def _affinity(column: Column) -> Affinity:
    return affinity_of(column.sql_type)


def _where(condition: str) -> str:
    return f" WHERE {condition}" if condition else ""

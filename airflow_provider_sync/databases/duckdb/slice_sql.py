"""Build the statements of version 2 on DuckDB: row texts and digests, the segments of a partitioning, windows and keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.duckdb.text import canonical_text, literal, parsed
from airflow_provider_sync.databases.partitioning import SegmentRanges, key_range_conditions
from airflow_provider_sync.databases.row_text_sql import null_fields, value_fields
from airflow_provider_sync.databases.schema import TEXTUAL, Column, Kind
from airflow_provider_sync.databases.table_slice import CanonicalColumn, Keys, TableSlice
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.messages import Partitioning
from airflow_provider_sync.protocol.v2.row_text import DIGEST_BITS
from airflow_provider_sync.protocol.v2.types import LENGTH_PREFIXED

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_LOWEST_HUGE, _HIGHEST_HUGE = -(2**126), 2**126
"""Numbers below and above all keys that version 2 can assign to segments."""

_NUMBERS = frozenset({Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT, Kind.DOUBLE})
_INTEGER_DIGITS = 20
_DOUBLE_DIGITS = 300

_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))


class SliceSQL:
    """Builds the statements that read one table slice; the table has the alias ``t``."""

    def __init__(self, database: Database, table_slice: TableSlice) -> None:
        self._table_slice = table_slice
        self._quote = database.quote
        self._relation = f"{database.relation(table_slice.table)} AS t"
        self._current = database.current(table_slice.table, "t")

    def bounds(self) -> str:
        """Select the lowest and highest key."""
        name = self._number()
        return f"SELECT min({name}), max({name}) FROM {self._relation}{self._where()}"

    def count(self) -> str:
        """Count the rows."""
        return f"SELECT count(*) FROM {self._relation}{self._where()}"

    def lines(self, *, by_key: bool = False) -> str:
        """Select every row, or the rows with the bound keys, as a line of TSV."""
        return f"SELECT {self._line()} || chr(10) FROM {self._joined() if by_key else self._relation}{self._where()}"

    def hashed_lines(self) -> str:
        """Select the number of rows and the sum of DuckDB's own hashes of their lines, without the line feeds."""
        # With one column, a line ends with a filler field: see piped_lines.filled.
        mark = " || chr(9) || '-'" if len(self._table_slice.columns) == 1 else ""
        return f"SELECT count(*), coalesce(sum(hash({self._line()}{mark})), 0) FROM {self._relation}{self._where()}"

    def digests_by_key(self) -> str:
        """Select key texts and digests of the rows with the bound keys."""
        return f"SELECT {self._texts(self._table_slice.key)}, {self._digest()} FROM {self._joined()}{self._where()}"

    def segments(self, partitioning: Partitioning) -> str:
        """Select the number, the row count and the sum of digests of every segment that has rows."""
        if partitioning.is_whole:
            return f"SELECT 0, count(*), sum({self._digest()}) FROM {self._relation}{self._where()} HAVING count(*) > 0"
        if partitioning.scheme == "key_range":
            return (
                f"SELECT {self._segment(partitioning)}, count(*), sum({self._digest()})"
                f" FROM {self._relation}{self._where()} GROUP BY 1"
            )
        return (
            f"SELECT d >> {partitioning.shift}, count(*), sum(d)"
            f" FROM (SELECT {self._digest()} AS d FROM {self._relation}{self._where()}) GROUP BY 1"
        )

    def digests(self, partitioning: Partitioning, segment_ranges: SegmentRanges) -> str:
        """Select key texts and digests of the rows in these segments; in key order for ``key_range``."""
        ranges = ", ".join(f"({first}, {last})" for first, last in segment_ranges)
        # Join by equal numbers, which is a hash join; with ranges, DuckDB would check every range for every row.
        listed = f"(SELECT unnest(range(first, last + 1)) AS number FROM (VALUES {ranges}) AS r(first, last)) AS chosen"
        key = self._table_slice.key
        if partitioning.scheme == "key_range":
            number = self._number()
            segment = self._segment(partitioning)
            return (
                f"SELECT {self._texts(key)}, {self._digest()} FROM {self._relation} JOIN {listed}"
                f" ON {segment} = chosen.number{self._where()} ORDER BY {number}"
            )
        names = ", ".join(f"k{place}" for place in range(len(key)))
        texts = ", ".join(f"{self._text(column)} AS k{place}" for place, column in enumerate(key))
        return (
            f"SELECT {names}, d FROM (SELECT {texts}, {self._digest()} AS d FROM {self._relation}{self._where()})"
            f" JOIN {listed} ON d >> {partitioning.shift} = chosen.number"
        )

    def bound_keys(self, keys: Keys) -> list[list[str]]:
        """Return the values to bind for keys: a list for each key column."""
        return [[key[place] for key in keys] for place in range(len(self._table_slice.key))]

    # -- fields ------------------------------------------------------------------------------------------------------

    def _name(self, column: CanonicalColumn) -> str:
        return f"t.{self._quote(column.column.name)}"

    def _text(self, column: CanonicalColumn) -> str:
        return canonical_text(column.column, column.type, self._name(column))

    def _texts(self, columns: Sequence[CanonicalColumn]) -> str:
        return ", ".join(map(self._text, columns))

    def _field(self, column: CanonicalColumn) -> str:
        text = self._text(column)
        if column.type.kind in LENGTH_PREFIXED or column.column.kind in TEXTUAL:
            # Check first whether there is anything to escape, which is rare: the check takes a third of the escaping's time.
            special = " OR ".join(f"contains({text}, {_characters(plain)})" for plain, _ in _ESCAPES)
            escaped = text
            for plain, escape in _ESCAPES:
                escaped = f"replace({escaped}, {_characters(plain)}, {_characters(escape)})"
            text = f"CASE WHEN {special} THEN {escaped} ELSE {text} END"
        return f"coalesce({text}, '\\N')" if column.column.nullable else text

    def _line(self) -> str:
        # None of the fields is NULL.
        return f"concat_ws(chr(9), {', '.join(map(self._field, self._table_slice.columns))})"

    def _digest(self) -> str:
        return f"CAST('0x' || left(sha256({self._row_text()}), {DIGEST_BITS // 4}) AS BIGINT)"

    def _row_text(self) -> str:
        """Return the expression of the row text that ``protocol.v2.row_text`` defines."""
        columns = self._table_slice.columns
        numbers = [f"CAST({bits} AS VARCHAR)" for bits in null_fields(columns, self._null_bit)]
        fields = value_fields(columns, self._text, lambda text: f"CAST(strlen({text}) AS VARCHAR)")
        return f"concat_ws('|', {', '.join([*fields, *numbers])})"

    def _null_bit(self, column: CanonicalColumn, number: int) -> str:
        return f"CASE WHEN {self._name(column)} IS NULL THEN CAST({number} AS BIGINT) ELSE 0 END"

    # -- conditions --------------------------------------------------------------------------------------------------

    def _where(self) -> str:
        conditions = list(self._conditions())
        return f" WHERE {' AND '.join(conditions)}" if conditions else ""

    def _conditions(self) -> Iterator[str]:
        if self._current:
            yield self._current
        if self._table_slice.key_range is not None:
            yield from key_range_conditions(self._number(), self._table_slice.key_range)
        window = self._table_slice.window
        if window is not None:
            column = self._table_slice.table.column(window.column)
            name = f"t.{self._quote(window.column)}"
            yield _window_bound(column, name, ">=", window.start)
            yield _window_bound(column, name, "<", window.end)

    def _number(self) -> str:
        """Return the expression of the key as a number; a value that is not an integer sorts after all integers."""
        key = self._table_slice.key[0]
        if key.column.kind is Kind.INTEGER:
            return self._name(key)
        text = self._text(key)
        return f"CASE WHEN regexp_full_match({text}, '-?[0-9]{{1,37}}') THEN CAST({text} AS HUGEINT) ELSE {_HIGHEST_HUGE} END"

    def _segment(self, partitioning: Partitioning) -> str:
        name, low, high = self._number(), partitioning.low, partitioning.high
        is_integer = self._table_slice.key[0].column.kind is Kind.INTEGER
        small = is_integer and low >= _LOWEST and high <= _HIGHEST and high - low <= _HIGHEST
        number = f"(CAST({name} AS {'BIGINT' if small else 'HUGEINT'}) - ({low})) // {partitioning.width}"
        return f"CASE WHEN {name} < {low} THEN -1 WHEN {name} > {high} THEN {partitioning.segment_count} ELSE {number} END"

    def _joined(self) -> str:
        """Join the table with the bound keys, by the bytes of their canonical texts."""
        key = self._table_slice.key
        listed = ", ".join(f"unnest(CAST(? AS VARCHAR[])) AS k{place}" for place in range(len(key)))
        conditions = [self._same(column, f"k.k{place}") for place, column in enumerate(key)]
        return f"(SELECT {listed}) AS k JOIN {self._relation} ON {' AND '.join(conditions)}"

    def _same(self, column: CanonicalColumn, text: str) -> str:
        if column.column.kind is Kind.INTEGER:
            return f"{self._name(column)} = {parsed(column.column, text)}"
        return f"encode({self._text(column)}) = encode({text})"


def _window_bound(column: Column, name: str, sign: str, text: str) -> str:
    """Return the condition that a value is on the inner side of the start or end of a window; NULL never is.

    :param name: the quoted column
    :param sign: ``>=`` for the start, ``<`` for the end
    :param text: canonical text of the start or end
    :raises TableError: if no value of the column can have this text
    """
    if column.kind in _NUMBERS:
        return _number_bound(column, name, sign, text)
    if column.kind in TEXTUAL:
        return f"encode(CAST({name} AS VARCHAR)) {sign} encode({literal(text)})"
    if column.kind is Kind.TIMESTAMP:
        return f"{name} {sign} CAST({literal(text)} AS TIMESTAMP) AT TIME ZONE 'UTC'"
    if column.kind is Kind.BINARY:
        return f"{name} {sign} {parsed(column, literal(text))}"
    return f"{name} {sign} CAST({literal(text)} AS {column.sql_type})"


def _number_bound(column: Column, name: str, sign: str, text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise TableError(f"A window cannot begin or end at {text[:80]!r}: its column holds numbers.").without_subject()
    if number and number.adjusted() >= _digits(column):
        # The bound is beyond all values of the column, so DuckDB could not compare them.
        return f"{name} IS NOT NULL" if (sign == ">=") == (number < 0) else "false"
    return f"{name} {sign} {number:f}"


def _digits(column: Column) -> int:
    """Return the maximum number of digits before the point of the column's numbers."""
    match column.kind:
        case Kind.INTEGER:
            return _INTEGER_DIGITS
        case Kind.DECIMAL:
            return (column.precision or 0) - (column.scale or 0)
    return _DOUBLE_DIGITS


def _characters(text: str) -> str:
    return " || ".join(f"chr({ord(character)})" for character in text)

"""Build the statements of version 2 on PostgreSQL: row texts and digests, the segments of a partitioning, windows and keys.

They are for a driver's cursor without parameters, so percent signs are not doubled. :mod:`.digests` and :mod:`.read` run them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.partitioning import SegmentRanges, key_range_of
from airflow_provider_sync.databases.postgresql.session import stores_utf8, undoubled
from airflow_provider_sync.databases.postgresql.text import canonical_text, hashed_text, is_null, literal, operand, parsed
from airflow_provider_sync.databases.row_text_sql import null_fields, value_fields
from airflow_provider_sync.databases.schema import Kind
from airflow_provider_sync.databases.table_slice import CanonicalColumn, Keys, TableSlice
from airflow_provider_sync.protocol.v2.messages import PGHASH, Partitioning
from airflow_provider_sync.protocol.v2.row_text import DIGEST_BITS

_MAX_ARGUMENTS = 90
"""Maximum fields in one function call; PostgreSQL allows 100 arguments."""

_MAX_LINKS = 100
"""Maximum fields in one chain of hashes: the calls are nested, and the server's stack is limited."""

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_LOWEST_NUMERIC, _HIGHEST_NUMERIC = "-1e131071", "NaN"
"""A numeric that sorts before all integers, and one that sorts after them."""


def slice_sql(database: Database, connection: Connection, table_slice: TableSlice) -> SliceSQL:
    """Return the builder of the statements that read a table slice, for a cursor without parameters."""

    def quote(name: str) -> str:
        return undoubled(database.quote(name))

    return SliceSQL(
        table_slice, quote=quote, relation=undoubled(database.relation(table_slice.table)), utf8=stores_utf8(connection)
    )


class SliceSQL:
    """Builds the statements that read one table slice.

    :param quote: quotes an identifier
    :param relation: the table's quoted name, or its query in parentheses
    :param utf8: whether the database stores text as UTF-8, so that its bytes need no conversion
    """

    def __init__(self, table_slice: TableSlice, *, quote: Callable[[str], str], relation: str, utf8: bool) -> None:
        self._table_slice = table_slice
        self._quote = quote
        self._relation = relation
        self._utf8 = utf8

    def bounds(self) -> str:
        """Select the lowest and highest key."""
        name = self._number()
        return f"SELECT min({name}), max({name}) FROM {self._relation} AS t{self._where()}"

    def rows(self) -> str:
        """Select one constant for every row."""
        return f"SELECT 1 FROM {self._relation} AS t{self._where()}"

    def count(self) -> str:
        """Select the number of rows."""
        return f"SELECT count(*) FROM {self._relation} AS t{self._where()}"

    def texts(self) -> str:
        """Select the canonical texts of every row."""
        return f"SELECT {self._texts(self._table_slice.columns)} FROM {self._relation} AS t{self._where()}"

    def texts_by_key(self, keys: Keys) -> str:
        """Select the canonical texts of the rows with these keys."""
        return f"SELECT {self._texts(self._table_slice.columns)} FROM {self._joined(keys)}"

    def digests_by_key(self, keys: Keys) -> str:
        """Select key texts and digests of the rows with these keys."""
        return f"SELECT {self._texts(self._table_slice.key)}, {self._digest()} FROM {self._joined(keys)}"

    def segments(self, partitioning: Partitioning) -> str:
        """Select the number, the row count and the sum of digests of every segment that has rows."""
        if partitioning.is_whole:
            return f"SELECT 0, count(*), sum({self._digest()}) FROM {self._relation} AS t{self._where()} HAVING count(*) > 0"
        if partitioning.scheme == "key_range":
            return (
                f"SELECT {self._segment(partitioning)}, count(*), sum({self._digest()})"
                f" FROM {self._relation} AS t{self._where()} GROUP BY 1"
            )
        # A set-returning function computes the digest once; a plain expression would be computed twice, for the segment
        # and for the sum. Unlike OFFSET 0 and LATERAL, unnest allows parallel workers.
        return (
            f"SELECT d >> {partitioning.shift}, count(*), sum(d) FROM"
            f" (SELECT unnest(ARRAY[{self._digest()}]) AS d FROM {self._relation} AS t{self._where()}) s GROUP BY 1"
        )

    def digests(self, partitioning: Partitioning, segment_ranges: SegmentRanges) -> str:
        """Select key texts and digests of the rows in these segments."""
        if partitioning.scheme == "key_range":
            name = self._number()
            # A join looks up each range in the index. Conditions joined by OR cause a scan that checks all of them for every row.
            return (
                f"SELECT {self._texts(self._table_slice.key)}, {self._digest()}"
                f" FROM {self._key_ranges(partitioning, segment_ranges)}"
                f" JOIN {self._relation} AS t ON {name} >= r.low AND {name} <= r.high{self._where()} ORDER BY {name}"
            )
        names = ", ".join(f"k{number}" for number in range(len(self._table_slice.key)))
        texts = ", ".join(f"{self._text(column)} AS k{number}" for number, column in enumerate(self._table_slice.key))
        numbers = ",".join(str(number) for first, last in segment_ranges for number in range(first, last + 1))
        return (
            f"SELECT {names}, d FROM (SELECT {texts}, unnest(ARRAY[{self._digest()}]) AS d"
            f" FROM {self._relation} AS t{self._where()}) s WHERE d >> {partitioning.shift} = ANY('{{{numbers}}}'::bigint[])"
        )

    # -- fields ------------------------------------------------------------------------------------------------------

    def _name(self, column: CanonicalColumn) -> str:
        return f"t.{self._quote(column.column.name)}"

    def _text(self, column: CanonicalColumn) -> str:
        return canonical_text(column.column, column.type, self._name(column))

    def _texts(self, columns: Sequence[CanonicalColumn]) -> str:
        return ", ".join(map(self._text, columns))

    def _bytes(self, text: str) -> str:
        # `textsend` is faster, but in parallel workers it uses the database's encoding.
        return f"textsend({text})" if self._utf8 else f"convert_to({text}, 'UTF8')"

    def _digest(self) -> str:
        if self._table_slice.digest == PGHASH:
            texts = [hashed_text(column.column, column.type, self._name(column)) for column in self._table_slice.columns]
            return hash_of_texts(
                [*(f"coalesce({text}, '')" for text in texts), *(f"({bits})::text" for bits in self._all_nulls())]
            )
        beginning = f"substr(sha256({self._bytes(self._row_text())}), 1, 8)"
        return f"('x' || encode({beginning}, 'hex'))::bit({DIGEST_BITS})::bigint"

    def _row_text(self) -> str:
        """Return the expression of the row text that ``protocol.v2.row_text`` defines."""
        fields = value_fields(
            self._table_slice.columns, self._text, lambda text: f"octet_length({text if self._utf8 else self._bytes(text)})"
        )
        while len(fields) > _MAX_ARGUMENTS:
            groups = [fields[start : start + _MAX_ARGUMENTS] for start in range(0, len(fields), _MAX_ARGUMENTS)]
            fields = [
                f"CASE WHEN num_nonnulls({listed}) > 0 THEN concat_ws('|', {listed}) END" for listed in map(", ".join, groups)
            ]
        return f"concat_ws('|', {', '.join([*fields, *self._all_nulls()])})"

    def _all_nulls(self) -> list[str]:
        return null_fields(
            self._table_slice.columns,
            lambda column, number: f"CASE WHEN {is_null(self._name(column))} THEN {number}::bigint ELSE 0 END",
        )

    # -- conditions --------------------------------------------------------------------------------------------------

    def _where(self) -> str:
        window = self._table_slice.window
        conditions: list[str] = []
        if ended_at := self._table_slice.table.ended_at:
            conditions.append(f"t.{self._quote(ended_at.name)} IS NULL")
        if self._table_slice.key_range is not None:
            conditions += self._key_range_conditions(*self._table_slice.key_range)
        if window is not None:
            column = self._table_slice.table.column(window.column)
            name = f"t.{self._quote(window.column)}"
            if column.kind is Kind.TEXT:
                name += ' COLLATE "C"'
            conditions.append(f"{name} >= {parsed(column, literal(window.start))}")
            conditions.append(f"{name} < {parsed(column, literal(window.end))}")
        return f" WHERE {' AND '.join(conditions)}" if conditions else ""

    def _key_range_conditions(self, low: int | None, high: int | None) -> Iterator[str]:
        """Yield conditions on the key that can use its index, because their literals have the key's type."""
        name = self._number()
        if low is not None:
            yield "false" if self._is_integer() and low > _HIGHEST else f"{name} >= ({self._clamped(low)})"
        if high is not None:
            yield "false" if self._is_integer() and high < _LOWEST else f"{name} <= ({self._clamped(high)})"

    def _segment(self, partitioning: Partitioning) -> str:
        name = self._number()
        if (
            self._is_integer()
            and partitioning.low >= _LOWEST
            and partitioning.high <= _HIGHEST
            and partitioning.high - partitioning.low <= _HIGHEST
        ):
            number = f"({name}::bigint - ({partitioning.low})) / {partitioning.width}"
        else:
            number = f"div({name}::numeric - ({partitioning.low}), {partitioning.width})::bigint"
        below, above = f"{name} < ({partitioning.low})", f"{name} > ({partitioning.high})"
        return f"CASE WHEN {below} THEN -1 WHEN {above} THEN {partitioning.segment_count} ELSE {number} END"

    def _number(self) -> str:
        """Return the expression of the key as a number; a value that is not an integer sorts after all integers."""
        key = self._table_slice.key[0]
        if key.column.kind in (Kind.INTEGER, Kind.DECIMAL):
            return self._name(key)
        text = f"({self._text(key)})::text"
        return f"(CASE WHEN {text} ~ '^-?[0-9]+$' THEN {text}::numeric ELSE '{_HIGHEST_NUMERIC}' END)"

    def _clamped(self, key: int) -> int:
        return max(_LOWEST, min(key, _HIGHEST)) if self._is_integer() else key

    def _key_ranges(self, partitioning: Partitioning, segment_ranges: SegmentRanges) -> str:
        """Return a table expression with the key ranges of these segments, in the key's type, so that its index can be used."""
        lows, highs = [], []
        for segment_range in segment_ranges:
            low, high = key_range_of(partitioning, segment_range)
            if self._is_integer():
                if (low is not None and low > _HIGHEST) or (high is not None and high < _LOWEST):
                    continue
                lows.append(str(_LOWEST if low is None else max(low, _LOWEST)))
                highs.append(str(_HIGHEST if high is None else min(high, _HIGHEST)))
            else:
                lows.append(_LOWEST_NUMERIC if low is None else str(low))
                highs.append(_HIGHEST_NUMERIC if high is None else str(high))
        kind = "bigint" if self._is_integer() else "numeric"
        return f"unnest('{{{','.join(lows)}}}'::{kind}[], '{{{','.join(highs)}}}'::{kind}[]) AS r(low, high)"

    def _is_integer(self) -> bool:
        return self._table_slice.key[0].column.kind is Kind.INTEGER

    def _joined(self, keys: Keys) -> str:
        """Join the table with a list of keys: by value, which can use an index, and by the bytes of the canonical text."""
        columns = self._table_slice.key
        if any(column.column.kind is Kind.INTEGER for column in columns):
            # Drop keys beyond the integer type: no row has them, and casting one would be an error.
            places = [place for place, column in enumerate(columns) if column.column.kind is Kind.INTEGER]
            keys = [key for key in keys if all(_LOWEST <= int(key[place]) <= _HIGHEST for place in places)]
        arrays = ", ".join(_array([key[place] for key in keys]) for place in range(len(columns)))
        texts = ", ".join(f"k{place}" for place in range(len(columns)))
        values = ", ".join(f"{parsed(column.column, f'k{place}')} AS v{place}" for place, column in enumerate(columns))
        conditions = [f"{operand(column.column, self._name(column))} = k.v{place}" for place, column in enumerate(columns)]
        conditions += [
            f'({self._text(column)})::text COLLATE "C" = k.k{place}'
            for place, column in enumerate(columns)
            if column.column.kind is not Kind.INTEGER
        ]
        listed = f"(SELECT {texts}, {values} FROM unnest({arrays}) AS u({texts})) k"
        return f"{listed} JOIN {self._relation} AS t ON {' AND '.join(conditions)}{self._where()}"


def hash_of_texts(texts: Sequence[str]) -> str:
    """Return the expression of the digest ``pghash`` of texts: a chain in which each hash seeds the next.

    The order of the texts therefore matters; a sum or product of hashes would not change if two texts swapped places.

    :param texts: SQL expressions that are never NULL
    """
    chains = []
    for start in range(0, len(texts), _MAX_LINKS):
        chain = "0"
        for text in texts[start : start + _MAX_LINKS]:
            chain = f'hashtextextended(({text}) COLLATE "C", {chain})'
        chains.append(chain)
    if len(chains) > 1:
        return hash_of_texts([f"({chain})::text" for chain in chains])
    return f"({chains[0]} & {2**DIGEST_BITS - 1})"


def _array(texts: Sequence[str]) -> str:
    quoted = ",".join(['"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts])
    return f"{literal(f'{{{quoted}}}')}::text[]"

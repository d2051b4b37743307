"""Check canonical texts for LOAD DATA, and write them for INSERT, on MySQL and MariaDB; :mod:`.load` sends them.

LOAD DATA reads their lines unchanged. The server changes some values without a warning: it rounds fractions in integers,
doubles and times, for example. Only columns where that could happen are checked here. The server detects all other problems,
and its warnings count as errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from airflow_provider_sync.databases.mysql.values import HEXADECIMAL, texts
from airflow_provider_sync.databases.schema import Column, Kind, Table
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.tsv import decode_rows
from airflow_provider_sync.protocol.v2.types import LogicalKind

Values = Sequence[bytes | None]
"""The canonical texts of one column."""

_FRACTIONS = frozenset({Kind.TIME, Kind.DATETIME, Kind.TIMESTAMP})
_TEXTS = frozenset({Kind.CHAR, Kind.ENUM, Kind.SET})
_CHECKED = frozenset({Kind.INTEGER, Kind.YEAR, Kind.FLOAT, Kind.DOUBLE, *_TEXTS, *HEXADECIMAL})
ENDS = "\t", "\n"
_NULL = b"\\N"


def decoding(column: CanonicalColumn) -> str | None:
    """Return the SQL template that decodes a field's text; ``None`` if the text is stored unchanged."""
    if _is_hexadecimal(column):
        return "UNHEX({})"
    # As text, the year 0 would become 2000, and a BIT would store the digits' bytes.
    return "CAST({} AS UNSIGNED)" if column.column.kind in (Kind.BIT, Kind.YEAR) else None


def _is_hexadecimal(column: CanonicalColumn) -> bool:
    return column.type.kind is LogicalKind.BYTES and column.column.kind in HEXADECIMAL


# -- LOAD DATA -------------------------------------------------------------------------------------------------------


def checked_blocks(table: Table, columns: Sequence[CanonicalColumn], blocks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of whole lines with their numbers of rows.

    :param columns: columns in the order of the fields
    :raises TableError: for a value that the table would change or refuse
    """
    risky = [place for place, column in enumerate(columns) if _is_risky(column)]
    for block in blocks:
        if not block:
            continue
        # A CHAR only loses trailing spaces, so check it only if some field of the block ends with one.
        padded = b" \t" in block or b" \n" in block
        checked = [place for place in risky if padded or columns[place].column.kind is not Kind.CHAR]
        for place, values in _fields(block, len(columns), checked, escaped=_may_be_escaped(columns, checked)):
            _check(table, columns[place], values)
        yield block.count(b"\n"), block


def _is_risky(column: CanonicalColumn) -> bool:
    """Whether the server may change a value without a warning."""
    kind = column.column.kind
    if kind in _FRACTIONS:
        return column.type.scale is None or column.type.scale > (column.column.scale or 0)
    return kind in _CHECKED


def _may_be_escaped(columns: Sequence[CanonicalColumn], places: Iterable[int]) -> bool:
    return any(columns[place].column.kind in _TEXTS for place in places)


def _fields(block: bytes, columns: int, places: Sequence[int], *, escaped: bool) -> Iterator[tuple[int, Values]]:
    """Yield position and values of some columns of a block.

    :param places: positions of these columns
    :param escaped: whether their values may have escapes
    """
    if escaped:
        rows = decode_rows(block, columns) if places else []
        for place in places:
            yield place, [row[place] for row in rows]
        return
    for place in places:
        try:
            # Keep only one field per line. Keeping all fields takes five times as long, because of garbage collection.
            values = [line.split(b"\t", place + 1)[place] for line in block.split(b"\n")[:-1]]
        except IndexError:
            values = []
        if not values or not block.endswith(b"\n"):
            # Raise the error that names the problem.
            decode_rows(block, columns)
        yield place, [None if value == _NULL else value for value in values]


def _check(table: Table, column: CanonicalColumn, values: Values) -> None:
    """Check that the server would not change any of the values without a warning.

    :raises TableError: for the first value that it would change
    """
    if None in values:
        values = [value for value in values if value is not None]
    if column.column.kind is Kind.INTEGER and b"".join(values).replace(b"-", b"").isdigit():  # type: ignore[arg-type]  # no None is left
        return
    decoded = [_decoded(table, column.column, value) for value in values if value is not None]
    if _is_shortest(column):
        # Nearly all doubles are written as the protocol writes them, and read back unchanged.
        decoded = [text for text in decoded if not _reads_back(text)]
    if _is_hexadecimal(column):
        try:
            texts(table.label, column.column, [bytes.fromhex(value) for value in decoded])
        except ValueError as error:
            reason = "a value is not hexadecimal. Do client and server run the same version?"
            raise _refused(table, column.column, reason) from error
    else:
        texts(table.label, column.column, decoded)


def _is_shortest(column: CanonicalColumn) -> bool:
    kind = column.column.kind
    return column.column.scale is None and (
        kind is Kind.DOUBLE or (kind is Kind.FLOAT and column.type.kind is LogicalKind.FLOAT32)
    )


def _reads_back(text: str) -> bool:
    try:
        return repr(float(text)).removesuffix(".0") == text
    except ValueError:
        return False


def _decoded(table: Table, column: Column, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        # An SQLite source may have such values in any column.
        raise _refused(table, column, "a value is not UTF-8. Correct it at the source.") from error


def _refused(table: Table, column: Column, reason: str) -> TableError:
    return TableError(f"Table {table.label!r}, column {column.name!r} ({column.sql_type}): {reason}")


# -- INSERT ----------------------------------------------------------------------------------------------------------


def literals(table: Table, columns: Sequence[CanonicalColumn], blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the rows in the form of an INSERT; otherwise like :func:`checked_blocks`."""
    for _, block in checked_blocks(table, columns, blocks):
        fields = list(zip(*decode_rows(block, len(columns)), strict=True))
        written = [_literals(column, values) for column, values in zip(columns, fields, strict=True)]
        yield from (b"(%b)" % row for row in map(b",".join, zip(*written, strict=True)))


def _literals(column: CanonicalColumn, values: Values) -> list[bytes]:
    if _is_hexadecimal(column):
        return [b"NULL" if value is None else b"x'%b'" % value for value in values]
    form = b"CAST('%b' AS UNSIGNED)" if decoding(column) else b"'%b'"
    return [b"NULL" if value is None else form % value.replace(b"\\", b"\\\\").replace(b"'", b"\\'") for value in values]

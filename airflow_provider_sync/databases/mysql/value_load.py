"""Write values as the text of LOAD DATA or INSERT for MySQL and MariaDB; :mod:`.load` sends it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from airflow_provider_sync.databases.mysql.values import HEXADECIMAL, Texts, refused_null, texts
from airflow_provider_sync.databases.schema import Column, Kind, Row, Table
from airflow_provider_sync.exceptions import TableError

ENDS = _FIELD, _LINE = "\x1f", "\x1e"
_NULL = "\x1d"
_ESCAPES = str.maketrans({character: f"\\{character}" for character in ("\\", _FIELD, _LINE)})
_QUOTES = str.maketrans({"\\": "\\\\", "'": "\\'"})


def blocks(table: Table, batches: Iterable[Sequence[Row]]) -> Iterator[tuple[int, bytes]]:
    """Write rows, with values in the order of the table's columns, as LOAD DATA reads them."""
    return ((len(batch), _block(table, batch)) for batch in batches if batch)


def decoding(column: Column) -> str | None:
    """Return the SQL template that decodes a field's text; ``None`` if the text is stored unchanged."""
    if column.kind in HEXADECIMAL:
        return "UNHEX({})"
    return "CAST({} AS UNSIGNED)" if column.kind is Kind.BIT else None


def _block(table: Table, batch: Sequence[Row]) -> bytes:
    """Write rows as LOAD DATA reads them."""
    columns = _columns(table, batch)
    nulls = sum(column.count(None) for column in columns)
    fields = [[_NULL if text is None else text for text in column] if None in column else column for column in columns]
    block = _LINE.join(map(_FIELD.join, zip(*fields, strict=True)))
    separators = len(batch) * (len(columns) - 1)
    if (block.count(_FIELD), block.count(_LINE), block.count(_NULL)) == (separators, len(batch) - 1, nulls):
        # The most common case: no value contains one of the three characters.
        block = block.replace("\\", "\\\\").replace(_NULL, "\\N")
    else:
        escaped = [["\\N" if text is None else text.translate(_ESCAPES) for text in column] for column in columns]
        block = _LINE.join(map(_FIELD.join, zip(*escaped, strict=True)))
    return _encoded(table, columns, f"{block}{_LINE}")


def literals(table: Table, batches: Iterable[Sequence[Row]]) -> Iterator[bytes]:
    """Write rows in the form of an INSERT."""
    for batch in batches:
        if batch:
            columns = _columns(table, batch)
            written = [_literals(column, column_texts) for column, column_texts in zip(table.columns, columns, strict=True)]
            for row in map(",".join, zip(*written, strict=True)):
                yield _encoded(table, columns, f"({row})")


def _literals(column: Column, values: Texts) -> list[str]:
    if column.kind in HEXADECIMAL:
        return ["NULL" if text is None else f"x'{text}'" for text in values]
    if column.kind is Kind.BIT:
        return ["NULL" if text is None else text for text in values]
    return ["NULL" if text is None else f"'{text.translate(_QUOTES)}'" for text in values]


def _columns(table: Table, batch: Sequence[Row]) -> list[Texts]:
    columns = list(zip(table.columns, zip(*batch, strict=True), strict=True))
    for column, values in columns:
        if not column.nullable and None in values:
            raise refused_null(table, column)
    return [texts(table.label, column, values) for column, values in columns]


def _encoded(table: Table, columns: Sequence[Texts], text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        # Half of a surrogate pair, which JSON can contain, but which is not a character.
        half = error.object[error.start]
        places = zip(table.columns, columns, strict=True)
        name = next(column.name for column, found in places if any(half in value for value in found if value))
        raise TableError(
            f"Table {table.label!r}, column {name!r}: a text has the lone surrogate U+{ord(half):04X}, which is no character."
            " Correct the row in the source."
        ) from error

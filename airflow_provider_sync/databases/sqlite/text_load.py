"""Load canonical texts into a table of SQLite; refuse a text that its column would change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from decimal import Decimal
from itertools import chain, repeat
from math import isnan
from operator import contains
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.schema import Table, Value
from airflow_provider_sync.databases.sqlite.affinities import INT64, NUMBER, Affinity, affinity_of, check_key, refusal
from airflow_provider_sync.databases.sqlite.catalog import is_strict
from airflow_provider_sync.databases.sqlite.session import decode, driver_of, write_transaction
from airflow_provider_sync.databases.sqlite.text import decimal_text, float_text
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.tsv import decode_rows
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

Texts = Sequence[Any]
"""The values of one column: ``str``, ``None``, or ``bytes`` for a text that is not UTF-8."""

_TRANSACTION_BYTES = 24 * 1024 * 1024
"""Bytes of text to collect in memory and insert in one transaction."""

_MAX_EXACT_DIGITS = 15
"""Maximum digits with which every decimal can be stored as a double and read back."""

_JSONB = re.compile("x'(?:[0-9a-f]{2})*+'")

_WHOLE_DIGITS = 20
"""More digits than a 64-bit integer has. Larger numbers skip int(): a short text with a large exponent would fill the memory."""


def load_blocks(
    connection: Connection,
    staging: Table,
    insert: str,
    columns: Sequence[CanonicalColumn],
    blocks: Iterable[bytes],
) -> int:
    """Insert blocks in the open transaction or, if there is none, in transactions of some hundred thousand rows each.

    :param insert: the statement that inserts one row
    :return: rows loaded
    :raises TableError: naming table and column, for a text that the column would change
    """
    strict = is_strict(connection, staging)
    affinities = [affinity_of(column.column.sql_type, strict=strict) for column in columns]
    # Without an open transaction, rows are collected first, so that a slow source does not hold the write lock.
    at_once = driver_of(connection).in_transaction
    loaded = 0
    size = 0
    pending: list[Iterable[Sequence[Value]]] = []
    for block in blocks:
        pending.append(_rows(staging, columns, affinities, block))
        size += len(block)
        loaded += block.count(b"\n")
        if at_once or size >= _TRANSACTION_BYTES:
            _insert(connection, insert, pending)
            pending, size = [], 0
    _insert(connection, insert, pending)
    return loaded


def stored_value(text: str, logical: LogicalType, affinity: Affinity) -> Value:
    """Return the value that a column of this affinity stores for a canonical text.

    :raises ValueError: with the reason, if the column would change the text
    """
    return _values([text], logical, affinity)[0]


def _insert(connection: Connection, statement: str, blocks: Sequence[Iterable[Sequence[Value]]]) -> None:
    if blocks:
        driver = driver_of(connection)
        with nullcontext() if driver.in_transaction else write_transaction(connection):
            driver.executemany(statement, chain.from_iterable(blocks))


def _rows(
    staging: Table, columns: Sequence[CanonicalColumn], affinities: Sequence[Affinity], block: bytes
) -> Iterable[Sequence[Value]]:
    converted: list[Sequence[Value]] = []
    for column, affinity, texts in zip(columns, affinities, _split(block, len(columns)), strict=False):
        try:
            check_key(staging, column.column, texts)
            converted.append(_values(texts, column.type, affinity))
        except UnicodeError as error:
            raise TableError(
                f"Table {staging.label!r}, column {column.column.name!r} (no type): a text is not UTF-8."
                " Correct it at the source, or leave the column out with `columns`."
            ) from error
        except (ValueError, OverflowError) as error:
            raise refusal(staging.label, column.column, error) from error
    return zip(*converted, strict=True)


def _split(block: bytes, columns: int) -> Sequence[Texts]:
    """Split lines into columns of texts; fast if only NULL is escaped in them."""
    text = decode(block)
    if isinstance(text, str):
        # Turn line feeds into fields, so that their positions show whether each line has the right number of fields.
        fields = text.replace("\n", "\t\n\t").split("\t")
        fits = not fields.pop() and len(fields) == text.count("\n") * (columns + 1)
        if fits and set(fields[columns :: columns + 1]) == {"\n"}:
            split: list[Texts] = [fields[number :: columns + 1] for number in range(columns)]
            if "\\" not in text:
                return split
            split = [[None if field == "\\N" else field for field in texts] if "\\N" in texts else texts for texts in split]
            if sum(texts.count(None) for texts in split) == text.count("\\"):
                return split
    rows = [[None if value is None else decode(value) for value in row] for row in decode_rows(block, columns)]
    return list(zip(*rows, strict=True))


def _values(texts: Texts, logical: LogicalType, affinity: Affinity) -> Sequence[Value]:
    if logical.kind is LogicalKind.BYTES:
        return _each(texts, _blob)
    if logical.kind is LogicalKind.ANY:
        return _each(texts, _tagged)
    if logical.kind is LogicalKind.JSON and any(map(_is_jsonb, texts)):
        others = iter(_values([text for text in texts if not _is_jsonb(text)], logical, affinity))
        return [_blob(text[2:-1]) if _is_jsonb(text) else next(others) for text in texts]
    if affinity is Affinity.TEXT:
        return texts
    if logical.kind in (LogicalKind.INTEGER, LogicalKind.BOOLEAN):
        return _integers(texts, affinity)
    if affinity is Affinity.BLOB and logical.kind not in (LogicalKind.FLOAT32, LogicalKind.FLOAT64):
        return texts
    if logical.kind in (LogicalKind.FLOAT32, LogicalKind.FLOAT64):
        return _each(texts, _exact_float)
    if logical.kind is LogicalKind.DECIMAL and logical.scale is not None:
        numbers = _short_decimals(texts, logical.scale)
        if numbers is not None:
            return numbers
    elif _hold_no_number(_present(texts)):
        return texts
    return _each(texts, lambda text: _number(text, logical, affinity))


def _short_decimals(texts: Texts, scale: int) -> Sequence[Value] | None:
    """Convert a whole column of decimals that can be stored as doubles; ``None`` if it has any other text."""
    present = _present(texts)
    point = f"[.][0-9]{{{scale}}}" if scale else ""
    if (
        set(map(type, present)) != {str}
        or max(map(len, present)) > _MAX_EXACT_DIGITS
        or not re.fullmatch(f"(?:-?(?:0|[1-9][0-9]*+){point}\n)*+", "\n".join([*present, ""]))
        or f"-{0:.{scale}f}" in present
    ):
        return None
    try:
        return list(map(float, texts)) if present is texts else [None if text is None else float(text) for text in texts]
    except ValueError:
        return None  # a text of two lines


def _hold_no_number(texts: Texts) -> bool:
    if set(map(type, texts)) != {str}:
        return False
    # Look for a colon first, which is faster, since nearly all texts here are times.
    return all(map(contains, texts, repeat(":"))) or not any(map(NUMBER.fullmatch, texts))


def _present(texts: Texts) -> Texts:
    return [text for text in texts if text is not None] if None in texts else texts


def _each(texts: Texts, convert: Callable[[Any], Value]) -> list[Value]:
    return [None if text is None else convert(text) for text in texts]


def _integers(texts: Texts, affinity: Affinity) -> Sequence[Value]:
    present = _present(texts)
    try:
        whole = list(map(int, present))
    except ValueError:
        whole = []
    if list(map(str, whole)) != list(present) or (whole and not (min(whole) in INT64 and max(whole) in INT64)):
        return _each(texts, lambda text: _number(text, LogicalType(kind=LogicalKind.INTEGER), affinity))
    if affinity is Affinity.REAL:
        for number in whole:
            if int(float(number)) != number:
                raise ValueError(f"{number} would be rounded")
    if present is texts:
        return whole
    numbers = iter(whole)
    return [None if text is None else next(numbers) for text in texts]


def _number(text: Any, logical: LogicalType, affinity: Affinity) -> Value:
    """Return the number that a numeric column stores for a text; return any other text unchanged.

    :raises ValueError: if the column would change the number
    """
    if not isinstance(text, str) or not NUMBER.fullmatch(text):
        return text  # type: ignore[no-any-return]  # bytes that are not UTF-8
    exact = Decimal(text.strip())
    value: int | float = float(text)
    if exact.adjusted() < _WHOLE_DIGITS and exact == exact.to_integral_value() and int(exact) in INT64:
        whole = int(exact)
        value = whole if affinity is not Affinity.REAL else float(whole)
    rendered = decimal_text(value, logical.scale) if logical.kind is LogicalKind.DECIMAL else _plain(value)
    if isinstance(value, int) and logical.kind is LogicalKind.DECIMAL:
        rendered = f"{value}.{'0' * logical.scale}" if logical.scale else str(value)
    if rendered != text:
        raise ValueError(f"{text[:80]!r} would become {rendered[:80]!r}")
    return value


def _plain(value: int | float) -> str:
    return float_text(value) if isinstance(value, float) else str(value)


def _exact_float(text: Any) -> Value:
    try:
        value = float(text)
    except ValueError:
        return text  # type: ignore[no-any-return]  # as SQLite does
    if isnan(value):
        raise ValueError("SQLite stores NaN as NULL")
    if float_text(value) != text:
        raise ValueError(f"{text[:80]!r} would become {float_text(value)!r}")
    return value


def _blob(text: Any) -> bytes:
    value = bytes.fromhex(text)
    if value.hex() != text:
        raise ValueError(f"{text[:80]!r} is not lower-case hexadecimal")
    return value


def _is_jsonb(text: Any) -> bool:
    """Whether a text of a JSON column represents a JSONB blob."""
    return isinstance(text, str) and _JSONB.fullmatch(text) is not None


def _tagged(text: Any) -> Value:
    """Return a value of the type that the text's first letter names.

    :raises UnicodeError: for a text that is not UTF-8
    """
    text = text.decode() if isinstance(text, bytes) else text
    tag, rest = text[:1], text[1:]
    if tag == "t":
        return str(rest)
    if tag == "i":
        return int(rest)
    if tag == "r":
        return _exact_float(rest)
    if tag == "b":
        return _blob(rest)
    raise ValueError(f"a value begins with {tag!r}, which stands for no type")

"""Prepare blocks of canonical texts for COPY FROM; most are passed on unchanged.

COPY itself refuses some invalid values. Values that it would change silently, such as digits that a decimal or a double cannot
store, are refused here.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import NoReturn

from airflow_provider_sync.databases.postgresql.text import logical_type
from airflow_provider_sync.databases.postgresql.value_load import digits_after_point
from airflow_provider_sync.databases.schema import Column, Kind, Table
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.types import LogicalKind

_NULL = b"\\N"
_MAX_SHOWN = 40

_Rewrite = Callable[[list[bytes]], list[bytes]]
"""Checks the fields of one column, and converts them to the form that COPY reads."""


def copy_blocks(
    table: Table, columns: Sequence[CanonicalColumn], blocks: Iterable[bytes], *, is_digested: bool
) -> Iterator[tuple[int, bytes]]:
    """Yield the number of rows of each block, and the block as COPY reads it.

    :param columns: columns in the order of the fields
    :param is_digested: see :meth:`.Loader.load_text`
    :raises TableError: for a value that its column would change
    """
    rewrites = [
        (place, rewrite)
        for place, column in enumerate(columns)
        if (rewrite := _rewrite(table, column, is_digested=is_digested)) is not None
    ]
    for block in blocks:
        if not block:
            continue
        if (nul := block.find(0)) >= 0:
            column = columns[block.count(b"\t", block.rfind(b"\n", 0, nul) + 1, nul)].column
            raise TableError(
                f"Table {table.label!r}, column {column.name!r} ({column.sql_type}): a value has a NUL character, which"
                " PostgreSQL cannot store; make it bytea, or remove the character. Nothing was loaded. Change the column's type,"
                " or the value in the source."
            )
        rows = block.count(b"\n")
        yield rows, _rewritten(table, block, rows, len(columns), rewrites) if rewrites else block


def _rewritten(table: Table, block: bytes, rows: int, width: int, rewrites: Sequence[tuple[int, _Rewrite]]) -> bytes:
    fields = block.removesuffix(b"\n").replace(b"\n", b"\t").split(b"\t")
    if len(fields) != rows * width:
        raise TableError(f"Table {table.label!r}: rows do not have the {width} values that its columns need.")
    changed = False
    for place, rewrite in rewrites:
        before = fields[place::width]
        after = rewrite(before)
        if after is not before:
            fields[place::width] = after
            changed = True
    if not changed:
        return block
    return b"".join([b"\t".join(fields[start : start + width]) + b"\n" for start in range(0, len(fields), width)])


def _rewrite(table: Table, column: CanonicalColumn, *, is_digested: bool) -> _Rewrite | None:
    def refuse(text: bytes, reason: str) -> NoReturn:
        shown = text[:_MAX_SHOWN].decode(errors="replace")
        place = f"Table {table.label!r}, column {column.column.name!r} ({column.column.sql_type})"
        raise TableError(f"{place}: {shown!r} {reason}. Nothing was loaded.")

    is_checked = not is_digested or column.type != logical_type(column.column)
    match column.column.kind:
        case Kind.BINARY if column.type.kind is LogicalKind.BYTES:
            # COPY reads the two backslashes as one; bytea reads `\x` as the prefix of hexadecimal digits.
            return lambda fields: [field if field == _NULL else rb"\\x" + field for field in fields]
        case Kind.BIT:
            return _to_bits(column.column, refuse)
        case Kind.DECIMAL if column.column.scale is not None and is_checked:
            return _check_digits(max(column.column.scale, 0), refuse)
        case Kind.FLOAT | Kind.DOUBLE if is_checked:
            return _check_doubles(column.column.kind is Kind.FLOAT, refuse)
    return None


def _check_digits(scale: int, refuse: Callable[[bytes, str], NoReturn]) -> _Rewrite:
    fraction = rf"(?:\.[0-9]{{1,{scale}}}+)?+" if scale else ""
    fits = re.compile(rf"(?:(?:-?[0-9]++{fraction}|\\N)\n)*+".encode())

    def rewrite(fields: list[bytes]) -> list[bytes]:
        if not fits.fullmatch(b"\n".join([*fields, b""])):
            for field in fields:
                number = _decimal(field)
                if number is not None and digits_after_point(number) > scale:
                    refuse(field, f"has more than {scale} digits after the point")
        return fields

    return rewrite


def _decimal(field: bytes) -> Decimal | None:
    """Return a finite number; ``None`` for NULL, and for a text that COPY refuses or stores unchanged."""
    try:
        number = Decimal(field.decode())
    except (InvalidOperation, UnicodeDecodeError):
        return None
    return number if number.is_finite() else None


def _check_doubles(float32: bool, refuse: Callable[[bytes, str], NoReturn]) -> _Rewrite:
    def rewrite(fields: list[bytes]) -> list[bytes]:
        for field in fields:
            number = _decimal(field)
            if number is None:
                continue
            stored = float(number)
            # Compare with the shortest digits, since these are read back, not the exact value.
            if Decimal(repr(stored)) != number:
                refuse(field, "has more digits than a double holds")
            if float32 and _as_float32(stored) != stored:
                refuse(field, "has more digits than a real holds")
        return fields

    return rewrite


def _as_float32(number: float) -> float:
    try:
        return array("f", [number])[0]
    except OverflowError:
        return float("inf")


def _to_bits(column: Column, refuse: Callable[[bytes, str], NoReturn]) -> _Rewrite:
    length = column.length or 1

    def bits(field: bytes) -> bytes:
        if field == _NULL:
            return field
        # Check the length first, since int() refuses texts of thousands of digits.
        if not field.isdigit() or len(field) > length or int(field) >= 1 << length:
            refuse(field, f"is not a number of {length} bits")
        return f"{int(field):0{length}b}".encode()

    return lambda fields: list(map(bits, fields))

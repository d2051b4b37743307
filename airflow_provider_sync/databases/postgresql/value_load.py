"""Write rows as the text that PostgreSQL's COPY FROM reads.

PostgreSQL's input functions are lenient: they round decimals and fractions of a second, drop the time of a date and trailing
blanks of a text, and read ``now`` as a date. Values that they would change without an error are refused here; values that they
refuse are not checked.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import NoReturn, TypeGuard, TypeVar

from airflow_provider_sync.databases.schema import Column, Kind, Row, Table, Value
from airflow_provider_sync.exceptions import TableError

NULL = "\\N"

_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DATE = r"[0-9]{4,7}-[0-9]{2}-[0-9]{2}"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_BYTE_LENGTHS = ("name", '"char"')
_SHOWN = 40
"""Number of characters of a refused value that a message shows."""

_Kind = TypeVar("_Kind")

_Encode = Callable[[Sequence[Value]], Iterable[str]]
"""Writes the values of one column, all of them not NULL."""


class CopyText:
    """Writes rows for ``COPY … FROM STDIN`` in text format.

    :param table: table to load, for messages
    :param columns: the columns, in the order of a row's values
    """

    def __init__(self, table: Table, columns: Sequence[Column]) -> None:
        self._encoders = [_ColumnText(table, column) for column in columns]
        self._table = table

    def encode(self, rows: Sequence[Row]) -> bytes:
        """Write rows, each followed by a newline.

        :raises TableError: for a value that its column would change, or that PostgreSQL cannot store
        """
        if not rows:
            return b""
        try:
            texts = [encoder.encode(values) for encoder, values in zip(self._encoders, zip(*rows, strict=True), strict=True)]
        except ValueError as error:
            raise TableError(
                f"Table {self._table.label!r}: rows do not have the {len(self._encoders)} values that its columns need."
            ) from error
        try:
            return ("\n".join(map("\t".join, zip(*texts, strict=True))) + "\n").encode()
        except UnicodeEncodeError as error:
            raise TableError(f"Table {self._table.label!r}: a text has half a surrogate pair, which is no character.") from error


class _ColumnText:
    """Writes the values of one column."""

    def __init__(self, table: Table, column: Column) -> None:
        self._table = table
        self._column = column
        self._scale = column.scale
        self._pattern = _pattern(column)
        self._encode: _Encode = {
            Kind.INTEGER: self._integers,
            Kind.BOOLEAN: self._booleans,
            Kind.DECIMAL: self._decimals,
            Kind.FLOAT: self._floats,
            Kind.DOUBLE: self._doubles,
            Kind.DATE: self._times,
            Kind.TIME: self._times,
            Kind.DATETIME: self._times,
            Kind.TIMESTAMP: self._times,
            Kind.BINARY: self._binaries,
            Kind.BIT: self._bits,
        }.get(column.kind, self._texts)

    def encode(self, values: Sequence[Value]) -> Iterable[str]:
        if None not in values:
            return self._encode(values)
        present = iter(self._encode([value for value in values if value is not None]))
        return [NULL if value is None else next(present) for value in values]

    def _integers(self, values: Sequence[Value]) -> Iterable[str]:
        if _are(values, int):
            return map(str, values)
        return map(self._integer, values)

    def _integer(self, value: Value) -> str:
        match value:
            case int():
                return str(value)
            case float() if value.is_integer():
                return str(int(value))
            case str() if _INTEGER.fullmatch(value):
                return value
        return self._refuse(value, "is not an integer")

    def _booleans(self, values: Sequence[Value]) -> Iterable[str]:
        for value in values:
            if value not in (0, 1, "0", "1"):
                self._refuse(value, "is neither 0 nor 1")
        return ("1" if value in (1, "1") else "0" for value in values)

    def _decimals(self, values: Sequence[Value]) -> Iterable[str]:
        return values if self._all_fit(values) else map(self._decimal, values)

    def _decimal(self, value: Value) -> str:
        text = value if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""
        if self._pattern.fullmatch(text):
            return text
        number = _decimal(text)
        if number is None:
            self._refuse(value, "is not a number")
        if number.is_finite() and self._scale is not None and digits_after_point(number) > self._scale:
            self._refuse(value, f"has more than {self._scale} digits after the point")
        return text.strip()

    def _doubles(self, values: Sequence[Value]) -> Iterable[str]:
        if _are(values, float):
            return map(repr, values)
        return map(self._double, values)

    def _double(self, value: Value) -> str:
        match value:
            case float():
                return repr(value)
            case int() if -(2**53) <= value <= 2**53 or _same_number(value):
                return str(value)
            case str() if (number := _decimal(value)) is not None:
                if not number.is_finite() or Decimal(repr(float(number))) == number:
                    return value.strip()
        return self._refuse(value, "is not a number that a double holds exactly")

    def _floats(self, values: Sequence[Value]) -> Iterable[str]:
        numbers = [float(self._double(value)) for value in values]
        try:
            stored = array("f", numbers)
        except OverflowError:
            stored = array("f", [float("inf")]) * len(numbers)
        for number, single in zip(numbers, stored, strict=True):
            # A FLOAT shows six digits on every engine, and version 1 carries six.
            if number != single and float(f"{single:.6g}") != number and number == number:
                self._refuse(number, "has more digits than a real holds")
        return map(repr, numbers)

    def _times(self, values: Sequence[Value]) -> Iterable[str]:
        if self._all_fit(values):
            return values
        wrong = next(value for value in values if not isinstance(value, str) or not self._pattern.fullmatch(value))
        return self._refuse(wrong, f"is not a value of this {self._column.kind}")

    def _all_fit(self, values: Sequence[Value]) -> TypeGuard[Sequence[str]]:
        """Whether all values are text that PostgreSQL stores unchanged and that needs no escapes."""
        if not _are(values, str):
            return False
        return all(map(self._pattern.fullmatch, values))

    def _binaries(self, values: Sequence[Value]) -> Iterable[str]:
        for value in values:
            if not isinstance(value, str | bytes):
                self._refuse(value, "is not binary")
        # The first backslash escapes the second, which bytea reads as "hexadecimal digits follow".
        return (rf"\\x{(value if isinstance(value, bytes) else str(value).encode()).hex()}" for value in values)

    def _bits(self, values: Sequence[Value]) -> Iterable[str]:
        return [f"{int(self._integer(value)):0{self._column.length}b}" for value in values]

    def _texts(self, values: Sequence[Value]) -> Iterable[str]:
        texts = values if _are(values, str) else [self._text(value) for value in values]
        if self._column.length is not None:
            self._check_length(texts, self._column.length)
        return self._escape(texts)

    def _text(self, value: Value) -> str:
        match value:
            case str():
                return value
            case bytes():
                try:
                    return value.decode()
                except UnicodeDecodeError:
                    self._refuse(value, "has bytes that are not UTF-8")
        return str(value)

    def _check_length(self, texts: Sequence[str], length: int) -> None:
        """Refuse text that is too long: PostgreSQL would silently drop trailing blanks, and truncate a ``name``."""
        if self._column.kind is Kind.CHAR:
            return
        for text in texts:
            if len(text) > length or (self._column.sql_type in _BYTE_LENGTHS and len(text.encode()) > length):
                self._refuse(text, f"is longer than {length}")

    def _escape(self, texts: Sequence[str]) -> Iterable[str]:
        whole = "".join(texts)
        if "\0" in whole:
            self._refuse(None, "has a NUL character, which PostgreSQL cannot store; make it bytea, or remove the character")
        for plain, escaped in _ESCAPES:
            if plain in whole:
                texts = [text.replace(plain, escaped) for text in texts]
        return texts

    def _refuse(self, value: Value, reason: str) -> NoReturn:
        shown = "a value" if value is None or isinstance(value, bytes) else repr(value)
        if len(shown) > _SHOWN:
            shown = f"{shown[:_SHOWN]}…"
        raise TableError(
            f"Table {self._table.label!r}, column {self._column.name!r} ({self._column.sql_type}): {shown} {reason}."
            " Nothing was loaded. Change the column's type, or the value in the source."
        )


def _are(values: Sequence[Value], kind: type[_Kind]) -> TypeGuard[Sequence[_Kind]]:
    """Whether all values have this type, by far the most common case."""
    return set(map(type, values)) <= {kind}


def _pattern(column: Column) -> re.Pattern[str]:
    """Return the pattern of the values that ``column`` stores unchanged."""
    digits = column.scale or 0
    # Additional trailing zeros do not change the value.
    fraction = rf"(?:\.[0-9]{{1,{digits}}}0*)?" if digits > 0 else r"(?:\.0+)?"
    match column.kind:
        case Kind.DECIMAL if column.scale is None:
            text = r"[+-]?[0-9]+(?:\.[0-9]+)?"
        case Kind.DECIMAL if digits >= 0:
            text = rf"[+-]?[0-9]+{fraction}"
        case Kind.DATE:
            text = rf"{_DATE}(?: BC|[ T]00:00:00(?:\.0+)?)?|-?infinity"
        case Kind.TIME:
            text = rf"(?:{_TIME}{fraction}|24:00:00(?:\.0+)?)"
        case Kind.DATETIME:
            text = rf"{_DATE}(?:[ T]{_TIME}{fraction})?(?: BC)?|-?infinity"
        case Kind.TIMESTAMP:
            text = rf"{_DATE}(?:[ T]{_TIME}{fraction}(?:Z|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)?)?(?: BC)?|-?infinity"
        case _:
            text = r"(?!)"
    return re.compile(text)


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _same_number(value: int) -> bool:
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def digits_after_point(number: Decimal) -> int:
    """Count the digits after the point up to the last nonzero one; negative for multiples of ten."""
    _, digits, exponent = number.as_tuple()
    zeros = next((place for place, digit in enumerate(reversed(digits)) if digit), None)
    return -(int(exponent) + zeros) if zeros is not None else -(10**6)

"""Placeholder values, used while rows swap the values of a unique key.

There are placeholders for the usual types of unique keys: integers, decimals, text, bytes, UUIDs and dates. Rows whose unique
key has another type are deleted and inserted again.
"""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import count, product
from typing import Any

from airflow_provider_sync.databases.schema import Column, Kind

_BITS = (("tinyint", 8), ("smallint", 16), ("int2", 16), ("smallserial", 16), ("mediumint", 24), ("bigint", 64), ("int8", 64))
"""Bits of integer types, by the beginning of their names; all other integer types have at least 32 bits."""

_ALPHABET = "~" + string.digits + string.ascii_lowercase + "!#$*+-=@^_"

_RANDOM_FROM_LENGTH = 12
"""Length from which random text or bytes are unlikely to collide."""


def candidates(column: Column) -> Iterator[Any] | None:
    """Return distinct values of the column's type, the least likely in real rows first; ``None`` for unsupported types."""
    match column.kind:
        case Kind.INTEGER:
            return _integers(column)
        case Kind.DECIMAL:
            return _decimals(column)
        case Kind.CHAR | Kind.TEXT:
            return _texts(column.length)
        case Kind.UUID:
            return (str(uuid.uuid4()) for _ in count())
        case Kind.BINARY:
            return _binaries(column.length)
        case Kind.DATE:
            return (str(date.max - timedelta(days=number)) for number in range(3_000_000))
        case Kind.DATETIME:
            return (str(datetime(9999, 12, 31, 23, 59, 59) - timedelta(seconds=number)) for number in count())
        case Kind.TIMESTAMP:
            return (str(datetime(2037, 12, 31, 23, 59, 59) - timedelta(seconds=number)) for number in range(2**30))
        case _:
            return None


def _integers(column: Column) -> Iterator[int]:
    name = column.sql_type.lower()
    bits = next((bits for start, bits in _BITS if name.startswith(start)), 32)
    if column.unsigned:
        return iter(range(2**bits - 1, -1, -1))
    return iter(range(2 ** (bits - 1) - 1, -(2 ** (bits - 1)) - 1, -1))


def _decimals(column: Column) -> Iterator[str]:
    digits, scale = column.precision or 15, column.scale or 0
    for number in range(10**digits - 1, -1, -1):
        text = str(number).zfill(scale + 1)
        yield f"{text[: len(text) - scale]}.{text[len(text) - scale :]}" if scale else text


def _texts(length: int | None) -> Iterator[str]:
    if length is None or length >= _RANDOM_FROM_LENGTH:
        return (f"~{secrets.token_hex(5)}" for _ in count())
    return ("".join(letters) for letters in product(_ALPHABET, repeat=length))


def _binaries(length: int | None) -> Iterator[bytes]:
    # Use the full length, since BINARY would pad shorter values.
    if length is None or length >= _RANDOM_FROM_LENGTH:
        return (secrets.token_bytes(min(length or 16, 64)) for _ in count())
    return (bytes(values) for values in product(range(255, -1, -1), repeat=length))

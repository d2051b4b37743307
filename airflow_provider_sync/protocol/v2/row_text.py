"""Build the canonical text of a row and its digest, which must be the same bytes on both sides.

::

    fields joined by "|"; before a text, json or any field stand its length in bytes and "|"; NULL fields are left out; at the
    end, for every 60 columns, a number whose bits say which of them are NULL (the first of the 60 is bit 0)

    (7, 'a|b', NULL, 1.10)  ->  7|3|a|b|1.10|4

Only fields with a length may contain ``|``, so no two rows have the same text. MySQL, MariaDB and PostgreSQL build it in SQL;
SQLite uses this module, which is the reference.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Sequence
from itertools import repeat

from airflow_provider_sync.protocol.v2.types import LENGTH_PREFIXED, LogicalKind

NULL_BITS = 60
DIGEST_BITS = 60
KEY_HASH_BITS = 32

_BEGINNING = struct.Struct(">Q24x")
"""Reads the first 64 bits of a SHA-256."""


def row_text(values: Sequence[bytes | None], kinds: Sequence[LogicalKind]) -> bytes:
    """Return the row text of canonical texts.

    :param values: canonical texts in UTF-8, ``None`` for NULL
    :param kinds: kinds of the columns, in the same order
    """
    fields: list[bytes] = []
    nulls = [0] * -(-len(values) // NULL_BITS)
    for position, (value, kind) in enumerate(zip(values, kinds, strict=True)):
        if value is None:
            nulls[position // NULL_BITS] |= 1 << position % NULL_BITS
            continue
        if kind in LENGTH_PREFIXED:
            fields.append(b"%d" % len(value))
        fields.append(value)
    return b"|".join([*fields, *(b"%d" % bits for bits in nulls)])


def key_hash(values: Iterable[bytes]) -> int:
    """Return the hash that puts a key into a segment: the CRC-32 of its canonical texts, joined by ``|``.

    It only spreads keys over segments, so it is fast rather than strong.
    """
    return zlib.crc32(b"|".join(values))


def row_digest(text: bytes) -> int:
    """Return the digest of a row: the first 60 bits of the SHA-256 of its text."""
    return int(hashlib.sha256(text).hexdigest()[: DIGEST_BITS // 4], 16)


def digest_rows(rows: Sequence[Sequence[bytes | None]], kinds: Sequence[LogicalKind]) -> list[int]:
    """Return the digests of many rows at once, equal to :func:`row_digest` of :func:`row_text`.

    :param rows: canonical texts in UTF-8, ``None`` for NULL
    :param kinds: kinds of the columns, in the same order
    """
    return digest_columns(list(zip(*rows, strict=True)), kinds, len(rows))


def digest_columns(columns: Sequence[Sequence[bytes | None]], kinds: Sequence[LogicalKind], count: int) -> list[int]:
    """Return the digests of :func:`digest_rows` for rows that are given column by column.

    :param columns: canonical texts of each column; may be empty if there are no rows
    :param count: number of rows
    """
    if not count:
        return []
    hashes = b"".join([hashlib.sha256(text).digest() for text in _row_texts(columns, kinds, count)])
    return [number >> 64 - DIGEST_BITS for (number,) in _BEGINNING.iter_unpack(hashes)]


def _row_texts(columns: Sequence[Sequence[bytes | None]], kinds: Sequence[LogicalKind], count: int) -> list[bytes]:
    """Write many rows column by column, which needs little Python code per value."""
    nulls = [[0] * count for _ in range(-(-len(kinds) // NULL_BITS))]
    missing = [None in column for column in columns]
    for position, column in enumerate(columns):
        if missing[position]:
            group, bit = position // NULL_BITS, 1 << position % NULL_BITS
            nulls[group] = [bits | bit if value is None else bits for value, bits in zip(column, nulls[group], strict=True)]
    fields: list[Iterable[bytes]] = [_written(bits, count) for bits in reversed(nulls)]
    for column, kind, has_nulls in zip(reversed(columns), reversed(kinds), reversed(missing), strict=True):
        lengths = _lengths(column) if kind in LENGTH_PREFIXED else None
        if has_nulls:
            # Join a field that may be missing with the next one, so that each row has the same number of fields to join.
            behind = fields.pop()
            fields.append(list(map(_before, column, behind) if lengths is None else map(_both_before, lengths, column, behind)))
            continue
        fields.append(column)  # type: ignore[arg-type]  # none of them is NULL
        if lengths is not None:
            fields.append(lengths)  # type: ignore[arg-type]  # likewise
    return list(map(b"|".join, zip(*reversed(fields), strict=True)))


def _before(value: bytes | None, rest: bytes) -> bytes:
    return rest if value is None else b"%b|%b" % (value, rest)


def _both_before(length: bytes | None, value: bytes | None, rest: bytes) -> bytes:
    return rest if length is None or value is None else b"%b|%b|%b" % (length, value, rest)


def _written(bits: Sequence[int], count: int) -> Iterable[bytes]:
    """Write the numbers that say which columns are NULL; format each distinct number once, since there are few."""
    numbers = set(bits)
    if len(numbers) == 1:
        return repeat(b"%d" % bits[0], count)
    return map({number: b"%d" % number for number in numbers}.__getitem__, bits)


def _lengths(column: Sequence[bytes | None]) -> Iterable[bytes | None]:
    """Write the lengths of many texts; format each distinct length once, since there are fewer than texts."""
    lengths = [None if text is None else len(text) for text in column]
    written = {length: None if length is None else b"%d" % length for length in set(lengths)}
    return map(written.__getitem__, lengths)

"""The canonical row text and its digest, which must be the same bytes on both sides.

::

    fields joined by "|"; a text, json or any field has its length in bytes and "|" before it; NULL fields are left out; at the
    end, for every 60 columns, a number whose bits say which of them are NULL (the first of the 60 is bit 0)

    (7, 'a|b', NULL, 1.10)  ->  7|3|a|b|1.10|4

Only these fields may hold a ``|``, and their length stands before them, so no two rows have the same text. MySQL, MariaDB and
PostgreSQL build it in SQL; SQLite uses this module, which is the reference.
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
"""The first 64 bits of a SHA-256."""


def row_text(values: Sequence[bytes | None], kinds: Sequence[LogicalKind]) -> bytes:
    """Return the row text of canonical texts.

    :param values: canonical texts in UTF-8, ``None`` for NULL
    :param kinds: of the columns, in the same order
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
    :param kinds: of the columns, in the same order
    """
    texts = _row_texts(rows, kinds)
    hashes = b"".join([hashlib.sha256(text).digest() for text in texts])
    return [number >> 64 - DIGEST_BITS for (number,) in _BEGINNING.iter_unpack(hashes)]


def _row_texts(rows: Sequence[Sequence[bytes | None]], kinds: Sequence[LogicalKind]) -> list[bytes]:
    """Write many rows column by column, which leaves little work for each value in Python."""
    fields: list[Iterable[bytes | None]] = []
    nulls = [[0] * len(rows) for _ in range(-(-len(kinds) // NULL_BITS))]
    for position, (column, kind) in enumerate(zip(zip(*rows, strict=True), kinds, strict=bool(rows))):
        if None in column:
            group, bit = position // NULL_BITS, 1 << position % NULL_BITS
            nulls[group] = [bits | bit if value is None else bits for value, bits in zip(column, nulls[group], strict=True)]
        if kind in LENGTH_PREFIXED:
            fields.append(_lengths(column))
        fields.append(column)
    fields.extend(map(b"%d".__mod__, bits) if any(bits) else repeat(b"0", len(rows)) for bits in nulls)
    if any(map(any, nulls)):
        return [b"|".join([field for field in row if field is not None]) for row in zip(*fields, strict=True)]
    return list(map(b"|".join, zip(*fields, strict=True)))


def _lengths(column: Sequence[bytes | None]) -> Iterable[bytes | None]:
    """Write the lengths of many texts: there are fewer lengths than texts."""
    lengths = [None if text is None else len(text) for text in column]
    written = {length: None if length is None else b"%d" % length for length in set(lengths)}
    return map(written.__getitem__, lengths)

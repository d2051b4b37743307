"""Define logical types: which values a column has and how they are written, independent of the database."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class LogicalKind(StrEnum):
    """The kinds of values on the wire; each has one canonical text.

    ===============  ================================================================================
    kind             canonical text
    ===============  ================================================================================
    ``integer``      digits, with ``-`` when negative; bits and years are numbers
    ``boolean``      ``0`` or ``1``
    ``decimal``      exactly ``scale`` digits after the point, never ``-0``; without a scale, see ``trailing_zeros``
    ``float32``      the double nearest to the float, written like ``float64``
    ``float64``      the fewest digits that read back as the same double: ``1e15``, ``0.00001``
    ``text``         UTF-8 as it is; without trailing spaces if ``fixed_width``
    ``bytes``        lower-case hex
    ``date``         ``2024-02-29``
    ``time``         ``-838:59:59.000000``, with ``scale`` digits of a second; no point when 0
    ``timestamp``    ``2024-02-29 12:34:56.000000``, with ``scale`` digits of a second; no time zone
    ``timestamptz``  the same, in UTC
    ``uuid``         36 lower-case characters
    ``json``         the text as the database returns it
    ``any``          a letter for the type of each value (``i``, ``r``, ``t`` or ``b``), and its text
    ===============  ================================================================================
    """

    INTEGER = "integer"
    BOOLEAN = "boolean"
    DECIMAL = "decimal"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    TEXT = "text"
    BYTES = "bytes"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"
    UUID = "uuid"
    JSON = "json"
    ANY = "any"


LENGTH_PREFIXED = frozenset({LogicalKind.TEXT, LogicalKind.JSON, LogicalKind.ANY})
"""Kinds whose text may contain any character, so that the row text has its length before it."""


class LogicalType(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The type of a column, in terms that every engine shares.

    :ivar bits: bits of an integer; ``None`` means 64
    :ivar unsigned: whether a number is never negative
    :ivar precision: total digits of a decimal; ``None`` for no limit
    :ivar scale: digits after the point, of decimals and of seconds; ``None`` for a decimal of any scale
    :ivar trailing_zeros: whether a decimal of any scale keeps its trailing zeros; otherwise its text has none
    :ivar length: maximum characters of text, maximum bytes of binary; ``None`` for no limit
    :ivar shortest: minimum characters of text, if known, as for hashes
    :ivar fixed_width: text that the database pads with spaces
    :ivar json_dialect: family of databases that write JSON alike, since each rewrites it in its own way; ``None`` for a column
        that keeps JSON as it was written
    :ivar enforced: whether the database refuses values of other types in the column; SQLite only declares its types
    """

    kind: LogicalKind
    bits: int | None = None
    unsigned: bool = False
    precision: int | None = None
    scale: int | None = None
    trailing_zeros: bool = False
    length: int | None = None
    shortest: int | None = None
    fixed_width: bool = False
    json_dialect: str | None = None
    enforced: bool = True

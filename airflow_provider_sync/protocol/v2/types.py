"""Logical types: what a column holds, and so how its values are written, whatever database it is in."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class LogicalKind(StrEnum):
    """The kinds of values that go over the wire; each has one canonical text.

    =============  =====================================================================================
    kind           canonical text
    =============  =====================================================================================
    ``integer``    digits with ``-``; booleans are 0 and 1, bits and years are numbers
    ``decimal``    exactly ``scale`` digits after the point, never ``-0``; without a scale, see below
    ``float``      a double, or the double nearest to a single: as MySQL writes it (``1e15``, ``0.00001``)
    ``text``       UTF-8 as it is; fixed width without trailing spaces
    ``bytes``      lower-case hex
    ``date``       ``2024-02-29``
    ``time``       ``-838:59:59.000000``, ``scale`` digits of a second, no point when 0
    ``timestamp``  ``2024-02-29 12:34:56.000000``, ``scale`` digits of a second; no zone
    ``instant``    the same, in UTC
    ``uuid``       36 lower-case characters
    ``json``       the text as the database gives it
    =============  =====================================================================================
    """

    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    TEXT = "text"
    BYTES = "bytes"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    INSTANT = "instant"
    UUID = "uuid"
    JSON = "json"


MEASURED = frozenset({LogicalKind.TEXT, LogicalKind.JSON})
"""Kinds whose text may hold anything, so that its length goes into the row text before it."""


class LogicalType(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The type of a column, in terms that every engine shares.

    :ivar scale: digits after the point, of decimals and of seconds; ``None`` for a decimal of any scale
    :ivar trailing_zeros: a decimal of any scale that keeps the zeros at its end; otherwise its text has none
    :ivar size: digits of a decimal, characters of text, bytes of binary, bits of an integer (64 unless told)
    :ivar single: a float of single precision
    :ivar unsigned: an integer without negative values
    :ivar fixed: text of fixed width, or a boolean among integers where ``size`` is 1
    :ivar dialect: family of databases whose JSON has this text, since it differs between them
    """

    kind: LogicalKind
    scale: int | None = None
    size: int | None = None
    single: bool = False
    unsigned: bool = False
    fixed: bool = False
    trailing_zeros: bool = False
    dialect: str | None = None

"""Find the likely reason why two values differ that should be equal, from their canonical texts. No I/O.

The reasons are those of tables that were copied by other means before, such as another character set, time zone or type.
"""

from __future__ import annotations

import json
import struct
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

OTHER = "another value"
NULL_AND_EMPTY = "NULL against empty"
NULL_AND_VALUE = "NULL against a value"
NORMAL_FORM = "Unicode normal form: the same characters, composed in one and decomposed in the other"
CASE = "case"
BLANKS = "blanks at the end, or padding"
CHARACTER_SET = "character set: the text was read or written as another one"
LOST = "character set: characters that the target's could not hold were replaced"
JSON_FORM = "only the formatting of the JSON"
SINGLE = "single precision: the value was rounded to a 32-bit float"
ROUNDED = "rounding of a floating point number"
ZEROS = "zeros at the end of a decimal"
SCALE = "decimal scale: digits after the point were cut or rounded"
FRACTION = "fractions of a second were cut or rounded"
ZONE = "time zone: {offset} apart"

_QUARTER = timedelta(minutes=15)
_MOST_OFFSET = timedelta(hours=26)

Pair = tuple[str | None, str | None]


def likely_reason(logical: LogicalType, pairs: Iterable[Pair]) -> str:
    """Return the reason that explains most of these pairs.

    :param pairs: differing canonical texts of source and target
    """
    reasons = Counter(explain(logical, source, target) for source, target in pairs)
    best = max(reasons, key=lambda reason: (reason != OTHER, reasons[reason]), default=OTHER)
    return best if 2 * reasons[best] >= reasons.total() else OTHER


def explain(logical: LogicalType, source: str | None, target: str | None) -> str:
    """Return the likely reason why the target's value differs from the source's."""
    if source is None or target is None:
        return NULL_AND_EMPTY if (source or target or "") == "" else NULL_AND_VALUE
    for test in _TESTS.get(logical.kind, _TEXT_TESTS):
        reason = test(source, target)
        if reason:
            return reason
    return OTHER


def _text(source: str, target: str) -> str | None:
    if source.rstrip() == target.rstrip():
        return BLANKS
    one, other = unicodedata.normalize("NFC", source), unicodedata.normalize("NFC", target)
    if one == other:
        return NORMAL_FORM
    if one.casefold() == other.casefold():
        return CASE
    if _misread(source) == target or _misread(target) == source:
        return CHARACTER_SET
    if len(source) == len(target) and all(
        left == right or (right in "?\ufffd" and not left.isascii()) for left, right in zip(source, target, strict=True)
    ):
        return LOST
    return None


def _misread(text: str) -> str | None:
    """Decode the UTF-8 bytes of a text with the character set that is most often used by mistake."""
    for charset in ("cp1252", "latin-1"):
        try:
            return text.encode().decode(charset)
        except UnicodeDecodeError:
            continue
    return None


def _json(source: str, target: str) -> str | None:
    try:
        return JSON_FORM if json.loads(source) == json.loads(target) else None
    except (ValueError, RecursionError):
        return None


def _json_document(source: str, target: str) -> str | None:
    """Compare texts as JSON if both look like JSON objects or arrays; plain numbers such as ``1`` and ``1.0`` do not."""
    return _json(source, target) if source[:1] in "{[" and target[:1] in "{[" else None


def _bytes(source: str, target: str) -> str | None:
    for padding in ("00", "20"):
        if _without(source, padding) == _without(target, padding):
            return BLANKS
    return None


def _without(text: str, padding: str) -> str:
    while text.endswith(padding):
        text = text.removesuffix(padding)
    return text


def _number(source: str, target: str) -> str | None:
    try:
        one, other = Decimal(source), Decimal(target)
    except InvalidOperation:
        return None
    if not (one.is_finite() and other.is_finite()):
        return None
    if one == other:
        return ZEROS
    if _single(one) == float(other) or _single(other) == float(one):
        return SINGLE
    digits = max(0, -min(int(one.normalize().as_tuple().exponent), int(other.normalize().as_tuple().exponent)))
    for scale in range(digits):
        unit = Decimal(1).scaleb(-scale)
        if abs(one - other) < unit and (one % unit == 0) != (other % unit == 0):
            return SCALE
    return None


def _float(source: str, target: str) -> str | None:
    one, other = float(source), float(target)
    if _single(Decimal(source)) == other or _single(Decimal(target)) == one:
        return SINGLE
    return ROUNDED if abs(one - other) <= 1e-5 * max(abs(one), abs(other)) else None


def _single(number: Decimal) -> float | None:
    try:
        return float(struct.unpack("f", struct.pack("f", float(number)))[0])
    except OverflowError:
        return None


def _moment(source: str, target: str) -> str | None:
    try:
        one, other = datetime.fromisoformat(source), datetime.fromisoformat(target)
    except ValueError:
        return None
    apart = abs(other - one)
    if apart <= timedelta(seconds=1) and 0 in (one.microsecond, other.microsecond):
        return FRACTION
    if apart < _MOST_OFFSET and not apart % _QUARTER:
        minutes = int((other - one) / timedelta(minutes=1))
        return ZONE.format(offset=f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}")
    whole = timedelta(seconds=1)
    # The fraction may have been cut to fewer digits, not only to none.
    return FRACTION if apart < whole and one.replace(microsecond=0) == other.replace(microsecond=0) else None


def _moment_text(source: str, target: str) -> str | None:
    return _moment(source, target) if len(source) >= len("2024-02-29 12:34") and len(target) >= len("2024-02-29 12:34") else None


Test = Callable[[str, str], str | None]

_TEXT_TESTS: Sequence[Test] = (_text, _json_document, _moment_text, _number)
_TESTS: dict[LogicalKind, Sequence[Test]] = {
    LogicalKind.INTEGER: (),
    LogicalKind.BOOLEAN: (),
    LogicalKind.DECIMAL: (_number,),
    LogicalKind.FLOAT32: (_float,),
    LogicalKind.FLOAT64: (_float,),
    LogicalKind.BYTES: (_bytes,),
    LogicalKind.TIMESTAMP: (_moment,),
    LogicalKind.TIMESTAMPTZ: (_moment,),
    LogicalKind.JSON: (_json, _text),
}

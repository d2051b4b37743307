"""Convert the start and end of a window, as users and templates write them, to canonical texts of the column's type."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_FLOAT = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d{1,3})?", re.ASCII)
_FORMS = {
    LogicalKind.INTEGER: re.compile(r"-?\d{1,20}", re.ASCII),
    LogicalKind.BOOLEAN: re.compile(r"-?\d{1,20}", re.ASCII),
    LogicalKind.DECIMAL: re.compile(r"-?\d+(\.\d+)?", re.ASCII),
    LogicalKind.FLOAT32: _FLOAT,
    LogicalKind.FLOAT64: _FLOAT,
    LogicalKind.BYTES: re.compile(r"([0-9a-f]{2})*"),
    LogicalKind.TIME: re.compile(r"-?\d{2,3}:[0-5]\d:[0-5]\d(\.\d{1,6})?", re.ASCII),
    LogicalKind.UUID: re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    LogicalKind.TEXT: re.compile(r"[^\0]*"),
}
_MOMENTS = frozenset({LogicalKind.DATE, LogicalKind.TIMESTAMP, LogicalKind.TIMESTAMPTZ})
_NUMBERS = frozenset({LogicalKind.INTEGER, LogicalKind.DECIMAL, LogicalKind.FLOAT32, LogicalKind.FLOAT64})
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)


def canonical_bounds(start: str, end: str, kind: LogicalType) -> tuple[str, str]:
    """Return both ends of a window as canonical texts; see :func:`canonical_bound`.

    :raises ProtocolError: as :func:`canonical_bound`, and for a window that ends before it begins, since start and end were most
        likely swapped; not checked for types whose order depends on the database
    """
    first, last = canonical_bound(start, kind), canonical_bound(end, kind)
    if _is_before(last, first, kind.kind):
        raise ProtocolError(
            f"The window begins at {start!r} and ends before that, at {end!r}, so that no row is in it. Swap the two."
        )
    return first, last


def _is_before(text: str, other: str, kind: LogicalKind) -> bool:
    if kind in _NUMBERS:
        return Decimal(text) < Decimal(other)
    return kind in _MOMENTS and text < other


def canonical_bound(text: str, kind: LogicalType) -> str:
    """Return the start or end of a window as a canonical text of the column's type.

    A timestamp with more digits than the column stores is rounded up to the next one that it can store. The range is half-open,
    so it selects the same rows as without rounding.

    :param text: a value of the column; for dates and times also ISO 8601, with a zone, or the date alone
    :param kind: type of the column
    :raises ProtocolError: for a text that is not a value of this type, and for types without an order
    """
    if kind.kind in _MOMENTS:
        return _moment(text, kind)
    form = _FORMS.get(kind.kind)
    if form is None:
        raise ProtocolError(f"A window cannot be of a column of type {kind.kind}, which has no order. Choose another column.")
    if form.fullmatch(text) is None or (form is _FLOAT and not math.isfinite(float(text))):
        raise _unreadable(text, kind)
    return text


def _moment(text: str, kind: LogicalType) -> str:
    if _MOMENT.fullmatch(text) is None:
        raise _unreadable(text, kind)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        if kind.kind == LogicalKind.DATE:
            return _next(moment, timedelta(days=1)).date().isoformat()
        scale = min(kind.scale or 0, 6)
        whole, _, fraction = (
            _next(moment, timedelta(microseconds=10 ** (6 - scale))).isoformat(" ", timespec="microseconds").partition(".")
        )
    except (ValueError, OverflowError) as error:
        raise _unreadable(text, kind) from error
    return f"{whole}.{fraction[:scale]}" if scale else whole


def _next(moment: datetime, step: timedelta) -> datetime:
    """Round a moment up to a multiple of ``step``."""
    return moment + (datetime.min - moment) % step


def _unreadable(text: str, kind: LogicalType) -> ProtocolError:
    shown = text if len(text) <= 50 else text[:50] + "…"
    return ProtocolError(f"{shown!r} is not a value of type {kind.kind}, which the window's column has.")

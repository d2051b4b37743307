"""The ends of windows as canonical texts."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.protocol.v2.bounds import canonical_bound, canonical_bounds
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

DATE = LogicalType(kind=LogicalKind.DATE)
SECONDS = LogicalType(kind=LogicalKind.TIMESTAMP, scale=0)
MILLISECONDS = LogicalType(kind=LogicalKind.TIMESTAMPTZ, scale=3)


@pytest.mark.parametrize(
    ("text", "kind", "bound"),
    [
        ("2024-02-29", DATE, "2024-02-29"),
        ("2024-02-29T00:00:00+00:00", DATE, "2024-02-29"),
        ("2024-02-29 00:00:00.000001", DATE, "2024-03-01"),
        ("2024-03-01T01:00:00+02:00", DATE, "2024-03-01"),
        ("2024-02-29", SECONDS, "2024-02-29 00:00:00"),
        ("2024-02-29T01:02Z", SECONDS, "2024-02-29 01:02:00"),
        ("2024-02-29 23:59:59.000001", SECONDS, "2024-03-01 00:00:00"),
        ("2024-02-29T12:00:00.1234+02:00", MILLISECONDS, "2024-02-29 10:00:00.124"),
        ("2024-02-29 12:00:00", MILLISECONDS, "2024-02-29 12:00:00.000"),
        ("-7", LogicalType(kind=LogicalKind.INTEGER), "-7"),
        ("1.10", LogicalType(kind=LogicalKind.DECIMAL, scale=2), "1.10"),
        ("-1.5e-300", LogicalType(kind=LogicalKind.FLOAT64), "-1.5e-300"),
        ("-838:59:59", LogicalType(kind=LogicalKind.TIME, scale=0), "-838:59:59"),
        ("it's", LogicalType(kind=LogicalKind.TEXT), "it's"),
        ("00ff", LogicalType(kind=LogicalKind.BYTES), "00ff"),
    ],
)
def test_bounds(text: str, kind: LogicalType, bound: str) -> None:
    """A user's bound becomes the text of the column's value."""
    assert canonical_bound(text, kind) == bound


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("2024-02-30", DATE),
        ("", DATE),
        ("0000-00-00", DATE),
        ("9999-12-31T00:00:00.1", DATE),
        ("9999-12-31T23:00:00-05:00", SECONDS),
        ("20240229", SECONDS),
        ("2024-02-29 24:00:00", SECONDS),
        ("٣", LogicalType(kind=LogicalKind.INTEGER)),
        ("1.5", LogicalType(kind=LogicalKind.INTEGER)),
        ("1e5", LogicalType(kind=LogicalKind.DECIMAL)),
        ("1e999", LogicalType(kind=LogicalKind.FLOAT64)),
        ("nan", LogicalType(kind=LogicalKind.FLOAT64)),
        ("a\0b", LogicalType(kind=LogicalKind.TEXT)),
        ("FF", LogicalType(kind=LogicalKind.BYTES)),
        ("{}", LogicalType(kind=LogicalKind.JSON)),
    ],
)
def test_refused(text: str, kind: LogicalType) -> None:
    """A bound that cannot be compared with the column's values is refused."""
    with pytest.raises(ProtocolError):
        canonical_bound(text, kind)


@given(bound=st.datetimes(max_value=datetime(9999, 12, 30)), value=st.datetimes(), scale=st.integers(0, 6))
def test_same_rows(bound: datetime, value: datetime, scale: int) -> None:
    """A bound with more digits than the column selects the same rows as its rounded bound."""
    step = 10 ** (6 - scale)
    value = value.replace(microsecond=value.microsecond // step * step)
    text = canonical_bound(bound.isoformat(), LogicalType(kind=LogicalKind.TIMESTAMP, scale=scale))
    assert (value < bound) == (value < datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("start", "end", "kind", "refused"),
    [
        ("10", "9", LogicalType(kind=LogicalKind.INTEGER), True),
        ("9", "10", LogicalType(kind=LogicalKind.INTEGER), False),
        ("-1.5", "-1.50001", LogicalType(kind=LogicalKind.DECIMAL, scale=5), True),
        ("1e3", "2", LogicalType(kind=LogicalKind.FLOAT64), True),
        ("2024-01-02", "2024-01-01", DATE, True),
        ("2024-01-01T23:00:00-02:00", "2024-01-02T00:30:00Z", SECONDS, True),
        ("2024-01-02T00:00:00.0001Z", "2024-01-02T00:00:00.0002Z", MILLISECONDS, False),
        ("b", "a", LogicalType(kind=LogicalKind.TEXT), False),
    ],
)
def test_windows_that_end_before_they_begin(start: str, end: str, kind: LogicalType, refused: bool) -> None:
    """A window that ends before it begins is refused, if the order of values does not depend on the database."""
    if refused:
        with pytest.raises(ProtocolError, match="ends before that"):
            canonical_bounds(start, end, kind)
    else:
        canonical_bounds(start, end, kind)

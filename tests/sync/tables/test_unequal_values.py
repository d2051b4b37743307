"""The likely reason why two values differ."""

from __future__ import annotations

import pytest

from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from airflow_provider_sync.sync.tables.unequal_values import OTHER, explain, likely_reason

TEXT, DECIMAL, FLOAT = LogicalKind.TEXT, LogicalKind.DECIMAL, LogicalKind.FLOAT64
TIMESTAMP, BYTES, JSON, INTEGER = LogicalKind.TIMESTAMP, LogicalKind.BYTES, LogicalKind.JSON, LogicalKind.INTEGER


@pytest.mark.parametrize(
    ("kind", "source", "target", "reason"),
    [
        (TEXT, None, "", "NULL against empty"),
        (TEXT, "x", None, "NULL against a value"),
        (TEXT, "abc", "ABC", "case"),
        (TEXT, "Straße", "STRASSE", "case"),
        (TEXT, "abc", "abc  ", "blanks at the end"),
        (TEXT, "é", "e\u0301", "Unicode normal form"),
        (TEXT, "Ärger", "Ã„rger", "read or written as another"),
        (TEXT, "Ärger 東", "?rger ?", "replaced"),
        (TEXT, '{"a": 1}', '{"a":1}', "formatting of the JSON"),
        (TEXT, "2024-02-29 12:00:00", "2024-02-29 13:00:00", "time zone: +01:00"),
        (TEXT, "one", "other", OTHER),
        (JSON, '{"a":1,"b":2}', '{"b": 2, "a": 1}', "formatting of the JSON"),
        (JSON, '{"a":1}', '{"a":2}', OTHER),
        (BYTES, "4e", "4e0000", "padding"),
        (BYTES, "4e", "4f", OTHER),
        (INTEGER, "1", "2", OTHER),
        (DECIMAL, "1.239", "1.240", "decimal scale"),
        (DECIMAL, "1.25", "7.25", OTHER),
        (FLOAT, "0.1", "0.10000000149011612", "single precision"),
        (FLOAT, "0.30000000000000004", "0.3", "rounding of a floating point"),
        (FLOAT, "1.5", "2.5", OTHER),
        (TIMESTAMP, "2024-02-29 12:34:56.123456", "2024-02-29 12:34:56.000000", "fractions of a second"),
        (TIMESTAMP, "2024-02-29 12:34:56.623456", "2024-02-29 12:34:57.000000", "fractions of a second"),
        (TIMESTAMP, "2024-02-29 12:00:00.000000", "2024-02-29 06:15:00.000000", "time zone: -05:45"),
        (TIMESTAMP, "2024-02-29 12:00:00.000000", "2024-02-29 12:07:00.000000", OTHER),
    ],
)
def test_reasons(kind: LogicalKind, source: str | None, target: str | None, reason: str) -> None:
    """Each pair of values has the expected reason."""
    assert reason in explain(LogicalType(kind=kind), source, target)


def test_the_reason_of_most_pairs_counts() -> None:
    """The reason of most pairs is reported, or none if no reason explains half of them."""
    text = LogicalType(kind=TEXT)
    assert likely_reason(text, [("a", "A"), ("b", "B"), ("c", "x")]) == "case"
    assert likely_reason(text, [("a", "A"), ("b", "y"), ("c", "x")]) == OTHER
    assert likely_reason(text, []) == OTHER

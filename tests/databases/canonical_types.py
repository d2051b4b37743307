"""Columns of every kind, and the canonical texts of their values, which are the same on every engine."""

from __future__ import annotations

import struct
from typing import Any

from tests.scenario import Scenario

SINGLE: float = struct.unpack("f", struct.pack("f", 1.1))[0]

TYPES: dict[str, dict[str, str]] = {
    "integer": {"": "BIGINT"},
    "unsigned": {"duckdb": "UBIGINT", "mysql": "BIGINT UNSIGNED", "postgresql": "NUMERIC(20)", "sqlite": "TEXT"},
    "boolean": {"": "BOOLEAN"},
    "decimal": {"": "DECIMAL(14,2)"},
    "whole": {"": "DECIMAL(15)"},
    "double": {"": "{DOUBLE}"},
    "single": {"": "REAL", "mysql": "FLOAT"},
    "text": {"": "TEXT"},
    "char": {"": "CHAR(5)"},
    "bytes": {"": "{BYTES}"},
    "date": {"": "DATE"},
    "time": {"": "TIME(6)", "duckdb": "TIME"},
    "timestamp": {"": "{DATETIME}"},
    "instant": {"duckdb": "TIMESTAMPTZ", "mysql": "TIMESTAMP(6) NULL", "postgresql": "TIMESTAMPTZ(6)", "sqlite": "TIMESTAMP"},
    "uuid": {"duckdb": "UUID", "mysql": "CHAR(36)", "postgresql": "UUID", "sqlite": "UUID"},
    "json": {"": "JSON"},
}
"""The type of a column, by kind and dialect."""

TEXTS: dict[str, list[tuple[Any, str]]] = {
    "integer": [(0, "0"), (-1, "-1"), (2**63 - 1, str(2**63 - 1)), (-(2**63), str(-(2**63)))],
    "unsigned": [(str(2**64 - 1), str(2**64 - 1)), ("0", "0")],
    "boolean": [(True, "1"), (False, "0")],
    "decimal": [
        ("1.10", "1.10"),
        ("0", "0.00"),
        ("-0.05", "-0.05"),
        ("7", "7.00"),
        ("123456789012.34", "123456789012.34"),
        ("-1000.00", "-1000.00"),
    ],
    "whole": [("0", "0"), ("-12", "-12"), ("999999999999999", "999999999999999")],
    "double": [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1 / 3, "0.3333333333333333"),
        (1e14, "100000000000000"),
        (1e15, "1e15"),
        (123456789012345680.0, "1.2345678901234568e17"),
        (9007199254740992.0, "9.007199254740992e15"),
        (1e-5, "0.00001"),
        (1.5e-7, "0.00000015"),
        (1e-20, "1e-20"),
        (1e300, "1e300"),
        (-2.2250738585072014e-308, "-2.2250738585072014e-308"),
        (1.7976931348623157e308, "1.7976931348623157e308"),
        (123456.789, "123456.789"),
        (1e22, "1e22"),
    ],
    "single": [(0.5, "0.5"), (SINGLE, "1.100000023841858"), (16777220.0, "16777220"), (-2.25, "-2.25"), (0.0, "0")],
    "text": [
        (value, value)
        for value in (
            "",
            " ",
            "a|b",
            "1|",
            "a ",
            "é😀",
            "e\u0301",
            "\t\n\r\\",
            "\\N",
            "NULL",
            "'",
            '"',
            "%s",
            "007",
            "\x1d\x1e\x1f",
        )
    ],
    "char": [("abc", "abc"), ("", ""), ("é😀", "é😀")],
    "bytes": [(b"", ""), (b"\x00\xff\xfe", "00fffe"), (b"ab", "6162"), (bytes(range(256)), bytes(range(256)).hex())],
    "date": [("2024-02-29", "2024-02-29"), ("1000-01-01", "1000-01-01"), ("9999-12-31", "9999-12-31")],
    "time": [
        ("12:34:56.5", "12:34:56.500000"),
        ("00:00:00", "00:00:00.000000"),
        ("23:59:59.999999", "23:59:59.999999"),
    ],
    "timestamp": [
        ("2024-02-29 12:34:56.5", "2024-02-29 12:34:56.500000"),
        ("1999-12-31 23:59:59", "1999-12-31 23:59:59.000000"),
        ("9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999"),
    ],
    "instant": [
        ("2024-02-29 12:34:56.5", "2024-02-29 12:34:56.500000"),
        ("2001-07-01 00:00:00", "2001-07-01 00:00:00.000000"),
    ],
    "uuid": [("0190a3b4-1234-7abc-8def-0123456789ab", "0190a3b4-1234-7abc-8def-0123456789ab")],
    "json": [("[]", "[]"), ('{"a": [1, 2.5, "é"]}', '{"a": [1, 2.5, "é"]}')],
}
"""Values as they are inserted, and their canonical texts."""


def create(on: Scenario, kind: str) -> None:
    """Make a table with one column of a kind."""
    sql_type = TYPES[kind].get(on.dialect) or TYPES[kind][""]
    on.execute(f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, v {sql_type})")


def inserted(on: Scenario, kind: str) -> list[Any]:
    """Return the values of a kind; moments in full on SQLite, where they are text."""
    full = on.dialect == "sqlite" and kind in ("time", "timestamp", "instant")
    return [text if full else value for value, text in TEXTS[kind]]

"""A table as plain text."""

from __future__ import annotations

from airflow_provider_sync.text_table import TextTable

TABLE = TextTable(("name", "rows", "key"), [("orders", "1,200", "id"), ("t", "3", "")], frozenset({"rows"}), ruled=True)


def test_plain_text() -> None:
    """Each column is as wide as its widest cell, numbers are aligned right, and no line ends in spaces."""
    assert list(TABLE.plain()) == ["name     rows  key", "------  -----  ---", "orders  1,200  id", "t           3"]


def test_what_is_not_printable_is_escaped() -> None:
    """A name with unprintable characters cannot break a line or control the terminal."""
    table = TextTable(("name", "rows"), [("a\x1b[2J\n", "1"), ("b\u202e", "2")])
    assert [line.split() for line in table.plain()] == [["name", "rows"], [r"a\x1b[2J\n", "1"], [r"b\u202e", "2"]]


def test_a_column_less() -> None:
    """A table without one of its columns keeps all others."""
    assert list(TABLE.without("rows").plain()) == ["name    key", "------  ---", "orders  id", "t"]

"""A table as plain text."""

from __future__ import annotations

from airflow_provider_sync.text_table import TextTable

TABLE = TextTable(("name", "rows", "key"), [("orders", "1,200", "id"), ("t", "3", "")], frozenset({"rows"}), ruled=True)


def test_plain_text() -> None:
    """Columns are as wide as their widest cell, numbers stand at the right, and no line ends in spaces."""
    assert list(TABLE.plain()) == ["name     rows  key", "------  -----  ---", "orders  1,200  id", "t           3"]


def test_a_column_less() -> None:
    """A table without one of its columns keeps everything else."""
    assert list(TABLE.without("rows").plain()) == ["name    key", "------  ---", "orders  id", "t"]

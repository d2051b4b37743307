"""Sessions of SQLite: what its errors become."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from airflow_provider_sync.databases.sqlite.session import translate
from airflow_provider_sync.exceptions import TableError


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """The message explains the two notations of a path."""
    with pytest.raises(sqlite3.OperationalError) as raised:
        sqlite3.connect(tmp_path / "nowhere" / "x.db")
    error = translate(raised.value)
    assert type(error) is TableError
    assert "Does its folder exist" in str(error)
    assert "sqlite:///x.db is relative" in str(error)

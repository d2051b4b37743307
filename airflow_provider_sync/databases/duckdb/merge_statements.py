"""The SQL of a merge on DuckDB."""

from __future__ import annotations

import re
from collections.abc import Sequence

from airflow_provider_sync.databases.contract.merge_statements import MergeStatements
from airflow_provider_sync.databases.schema import TEXTUAL, Column, Kind

_LOOSE = re.compile(r"\b(INTERVAL|FLOAT|DOUBLE)\b")
"""Types with values that are equal but differ in their text: one month and thirty days, 0 and -0."""


class DuckDBMergeStatements(MergeStatements):
    """Compares text by bytes everywhere: in DuckDB, a collation affects comparisons, but not unique indexes."""

    def comparable(self, column: Column, alias: str) -> str:
        """Return the column, or its bytes if it is text."""
        name = f"{alias}.{self.quote(column.name)}"
        return self.as_bytes(name) if column.kind in TEXTUAL and column.kind is not Kind.UUID else name

    def as_bytes(self, expression: str) -> str:
        """Return the bytes of a text, which have no collation."""
        return f"encode(CAST({expression} AS VARCHAR))"

    def equal(self, key: Sequence[Column], left: str, right: str) -> str:
        """Return the condition that the bytes are equal, which is also how unique indexes compare."""
        return " AND ".join(f"{self.comparable(column, left)} = {self.comparable(column, right)}" for column in key)

    def match(self, key: Sequence[Column], left: str, right: str) -> str:
        """Return the condition that the bytes are equal."""
        return self.equal(key, left, right)

    def loosely_compared(self, key: Sequence[Column]) -> list[Column]:
        """Return no columns: all keys are compared by bytes."""
        return []

    def skips_update(self, column: Column) -> bool:
        """Whether the column has intervals, or nested values, in which 0 and -0 differ; in plain number columns they do not."""
        return column.kind is Kind.OTHER and _LOOSE.search(column.sql_type) is not None

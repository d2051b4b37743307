"""The SQL of a merge on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from airflow_provider_sync.databases.contract.merge_statements import MergeStatements, moment_text
from airflow_provider_sync.databases.postgresql.text import COMPARED_AS_TEXT
from airflow_provider_sync.databases.schema import Column, Kind, Value


class PostgreSQLMergeStatements(MergeStatements):
    """Compares by ``=`` where that is equality of bytes, which the planner knows best."""

    # A column GENERATED ALWAYS AS IDENTITY takes no value of ours without.
    overriding = "OVERRIDING SYSTEM VALUE "

    def comparable(self, column: Column, alias: str) -> str:
        """Return the column itself where its ``=`` is equality of bytes, else its text."""
        # `=` is equality of bytes for all other text: columns whose collation says otherwise are described as OTHER. A
        # comparison by text beside it would make the planner expect far fewer rows than there are.
        name = f"{alias}.{self.quote(column.name)}"
        return self.as_bytes(name) if _compared_as_text(column) else name

    def as_bytes(self, expression: str) -> str:
        """Return the text under the collation ``C``."""
        return f'({expression})::text COLLATE "C"'

    def parameter(self, column: Column, value: Value) -> Value:
        """Give booleans and bits as text, which is read as the column's type; they are not compared with numbers."""
        if column.kind is Kind.BIT:
            return format(value, f"0{column.length}b")
        return str(value) if column.kind is Kind.BOOLEAN else value

    def moment(self, column: Column, moment: datetime) -> str:
        """Return the literal with its type: in a SELECT it would be text."""
        with_zone = column.kind is Kind.TIMESTAMP
        return f"{'TIMESTAMPTZ' if with_zone else 'TIMESTAMP'} '{moment_text(column, moment)}{'+00' if with_zone else ''}'"

    def match(self, key: Sequence[Column], left: str, right: str) -> str:
        """Return equality of the keys, with that of their bytes where it says more."""
        conditions = [self.equal(key, left, right)]
        conditions += [
            f"{self.comparable(column, left)} = {self.comparable(column, right)}" for column in key if _compared_as_text(column)
        ]
        return " AND ".join(conditions)


def _compared_as_text(column: Column) -> bool:
    """Whether the column has values that are equal and differ, such as decimals with different numbers of digits."""
    return column.kind in COMPARED_AS_TEXT or (column.kind is Kind.DECIMAL and column.scale is None)

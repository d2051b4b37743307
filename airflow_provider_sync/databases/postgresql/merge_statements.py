"""The SQL of a merge on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from airflow_provider_sync.databases.contract.merge_statements import MergeStatements, time_text
from airflow_provider_sync.databases.postgresql.session import doubled, undoubled
from airflow_provider_sync.databases.postgresql.text import COMPARED_AS_TEXT, operand
from airflow_provider_sync.databases.schema import Column, Kind, Value


class PostgreSQLMergeStatements(MergeStatements):
    """Compares by ``=`` where that compares bytes, since the planner estimates it best."""

    # Without it, a column GENERATED ALWAYS AS IDENTITY refuses our values.
    overriding = "OVERRIDING SYSTEM VALUE "

    def comparable(self, column: Column, alias: str) -> str:
        """Return the column itself if its ``=`` compares bytes, otherwise its text."""
        # `=` compares bytes for all other text: columns with nondeterministic collations are described as OTHER. An
        # additional comparison by text would make the planner expect far too few rows.
        name = self._value(column, alias)
        return self.as_bytes(name) if _compared_as_text(column) else name

    def equal(self, key: Sequence[Column], left: str, right: str) -> str:
        """See :meth:`.MergeStatements.equal`."""
        return " AND ".join(f"{self._value(column, left)} = {self._value(column, right)}" for column in key)

    def _value(self, column: Column, alias: str) -> str:
        """Return the column as a value to compare."""
        return doubled(operand(column, undoubled(f"{alias}.{self.quote(column.name)}")))

    def as_bytes(self, expression: str) -> str:
        """Return the text under the collation ``C``."""
        return f'({expression})::text COLLATE "C"'

    def parameter(self, column: Column, value: Value) -> Value:
        """Pass booleans and bits as text, which PostgreSQL reads as the column's type; it cannot compare them with numbers."""
        if column.kind is Kind.BIT:
            return format(value, f"0{column.length}b")
        return str(value) if column.kind is Kind.BOOLEAN else value

    def time_literal(self, column: Column, moment: datetime) -> str:
        """Return the literal with its type, since a plain literal in a SELECT is text."""
        with_zone = column.kind is Kind.TIMESTAMP
        return f"{'TIMESTAMPTZ' if with_zone else 'TIMESTAMP'} '{time_text(column, moment)}{'+00' if with_zone else ''}'"

    def match(self, key: Sequence[Column], left: str, right: str) -> str:
        """Return the condition that the keys are equal, and that their bytes are, for columns where this makes a difference."""
        conditions = [self.equal(key, left, right)]
        conditions += [
            f"{self.comparable(column, left)} = {self.comparable(column, right)}" for column in key if _compared_as_text(column)
        ]
        return " AND ".join(conditions)


def _compared_as_text(column: Column) -> bool:
    """Whether the column may have equal values with different bytes, such as decimals with trailing zeros."""
    return column.kind in COMPARED_AS_TEXT or (column.kind is Kind.DECIMAL and column.scale is None)

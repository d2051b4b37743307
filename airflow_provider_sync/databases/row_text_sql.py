"""SQL expressions for the fields of version 2's row text, which :mod:`airflow_provider_sync.protocol.v2.row_text` defines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.protocol.v2.row_text import NULL_BITS
from airflow_provider_sync.protocol.v2.types import LENGTH_PREFIXED


def value_fields(
    columns: Sequence[CanonicalColumn], text: Callable[[CanonicalColumn], str], size: Callable[[str], str]
) -> list[str]:
    """Return the canonical texts of a row's values, each with its length before it if its kind requires that.

    :param text: returns the expression of a column's canonical text
    :param size: returns the expression of a text's length in bytes of UTF-8
    """
    fields = []
    for column in columns:
        written = text(column)
        fields += [size(written), written] if column.type.kind in LENGTH_PREFIXED else [written]
    return fields


def null_fields(columns: Sequence[CanonicalColumn], bit: Callable[[CanonicalColumn, int], str]) -> list[str]:
    """Return the numbers whose bits say which values of a row are NULL.

    :param bit: returns an expression that is this number if a column is NULL, and 0 otherwise
    """
    groups = (columns[start : start + NULL_BITS] for start in range(0, len(columns), NULL_BITS))
    return [
        " + ".join(bit(column, 1 << place) for place, column in enumerate(group) if column.column.nullable) or "0"
        for group in groups
    ]

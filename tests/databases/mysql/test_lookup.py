"""Values written into statements."""

from __future__ import annotations

from airflow_provider_sync.databases.mysql.lookup import literal
from airflow_provider_sync.databases.schema import Column, Kind


def test_constants_of_every_kind() -> None:
    """A canonical text becomes a constant of the column's type, or none."""

    def column(kind: Kind) -> Column:
        return Column(name="c", kind=kind, sql_type=str(kind))

    assert literal(column(Kind.INTEGER), "-5") == "-5"
    assert literal(column(Kind.DECIMAL), "1.10") == "1.10"
    assert literal(column(Kind.DOUBLE), "1e15") == "1e15"
    assert literal(column(Kind.DATETIME), "2024-02-29 00:00:00") == "'2024-02-29 00:00:00'"
    assert literal(column(Kind.BINARY), "00ff") == "x'00ff'"
    assert literal(column(Kind.TEXT), "é'") == "_utf8mb4 x'c3a927'"
    for kind, text in [
        (Kind.INTEGER, "5 "),
        (Kind.DECIMAL, ".5"),
        (Kind.DATE, "now()"),
        (Kind.BINARY, "0"),
        (Kind.DOUBLE, "nan"),
    ]:
        assert literal(column(kind), text) is None

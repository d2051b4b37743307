"""How the soak judges its figures."""

from __future__ import annotations

from tests.soak.figures import MEGABYTES, SLACK, STAGING, Figures


def test_growth() -> None:
    """A figure that grew by more than its slack is named with its values; others are not."""
    start = {
        ("scheduler", MEGABYTES): 500.0,
        ("triggerer", MEGABYTES): 300.0,
        ("mysql", STAGING): 0.0,
        ("postgresql", STAGING): 1.0,
    }
    end = {
        ("scheduler", MEGABYTES): 500.0 + SLACK[MEGABYTES],
        ("triggerer", MEGABYTES): 345.5,
        ("mysql", STAGING): 2.0,
        ("postgresql", STAGING): 0.0,
    }
    assert Figures(start=start, end=end).growth() == [
        "triggerer: memory (MB) grew from 300 to 345.5, by more than 40",
        "mysql: staging tables grew from 0 to 2, by more than 0",
    ]


def test_rows() -> None:
    """A figure has start, median, highest and last value, also if it is measured only at rest."""
    memory, tables = ("scheduler", MEGABYTES), ("duckdb", STAGING)
    working = [{memory: value} for value in (510.0, 505.0, 590.0)]
    figures = Figures(start={memory: 500.0, tables: 0.0}, working=working, end={memory: 501.25, tables: 0.0})
    assert figures.rows() == [
        ("scheduler", MEGABYTES, "500.0", "510.0", "590.0", "501.2"),
        ("duckdb", STAGING, "0", "0", "0", "0"),
    ]

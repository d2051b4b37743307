"""Placeholder values fit their column and never repeat."""

from __future__ import annotations

from itertools import islice

import pytest

from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.merge.placeholder_values import candidates


def column(kind: Kind, sql_type: str = "", *, length: int | None = None, unsigned: bool = False) -> Column:
    """Make a column."""
    return Column(name="v", kind=kind, sql_type=sql_type, length=length, unsigned=unsigned)


@pytest.mark.parametrize("kind", [kind for kind in Kind if candidates(column(kind)) is not None])
def test_never_repeat(kind: Kind) -> None:
    """No candidate occurs twice."""
    values = list(islice(candidates(column(kind)) or (), 300))

    assert len(set(values)) == len(values) >= 2


@pytest.mark.parametrize(
    ("sql_type", "unsigned", "lowest", "highest"),
    [
        ("tinyint(4)", False, -128, 127),
        ("tinyint(3) unsigned", True, 0, 255),
        ("smallint", False, -(2**15), 2**15 - 1),
        ("MEDIUMINT", False, -(2**23), 2**23 - 1),
        ("integer", False, -(2**31), 2**31 - 1),
        ("bigint(20) unsigned", True, 0, 2**64 - 1),
    ],
)
def test_integers_stay_in_range(sql_type: str, unsigned: bool, lowest: int, highest: int) -> None:
    """Integers start at the end of the type's range, and cover all of a small range."""
    values = list(islice(candidates(column(Kind.INTEGER, sql_type, unsigned=unsigned)) or (), 300))

    assert values[0] == highest
    assert min(values) >= lowest
    assert len(values) == min(300, highest - lowest + 1)


def test_decimals_have_their_scale() -> None:
    """Decimals have as many digits as their column."""
    number = Column(name="v", kind=Kind.DECIMAL, sql_type="decimal(30,10)", precision=30, scale=10)

    assert next(candidates(number) or iter(())) == "99999999999999999999.9999999999"


@pytest.mark.parametrize("length", [0, 1, 2, 11, 12, 200, None])
def test_text_fits(length: int | None) -> None:
    """Text is never longer than its column."""
    values = list(islice(candidates(column(Kind.TEXT, length=length)) or (), 100))

    assert max(map(len, values)) <= (11 if length is None else length)


@pytest.mark.parametrize(
    "kind",
    [
        Kind.DOUBLE,
        Kind.FLOAT,
        Kind.BOOLEAN,
        Kind.TIME,
        Kind.YEAR,
        Kind.JSON,
        Kind.ENUM,
        Kind.SET,
        Kind.BIT,
        Kind.GEOMETRY,
        Kind.OTHER,
    ],
)
def test_kinds_without_placeholders(kind: Kind) -> None:
    """Types that are rare in unique keys, or whose values follow rules, have no placeholders."""
    assert candidates(column(kind)) is None

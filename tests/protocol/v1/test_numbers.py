"""Numbers as text: PHP's, MariaDB's."""

from __future__ import annotations

import json
import math
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from airflow_provider_sync.protocol.v1.numbers import fixed_float, json_float, mysql_double, mysql_float, php_float
from tests.protocol.v1 import golden_tables


def _column(name: str, index: int) -> list[tuple[float, str, str]]:
    """Return value, JSON text and hashed text of a recorded column, without NULL and rows that were lost."""
    lines = golden_tables.wire(name).decode().split("\n")
    column = list(json.loads(lines[0]))[index]
    found = []
    for line, fields in zip(lines, golden_tables.hashed(name), strict=False):
        value = json.loads(line)[column] if line else None
        if isinstance(value, (int, float)):
            texts = dict(pair.split(":") for pair in line[1:-1].split(","))
            found.append((float(value), texts[f'"{column}"'], fields[index].decode()))
    return found


@pytest.mark.parametrize(("value", "json_text", "hash_text"), _column("double", 1))
def test_doubles_are_written_as_recorded(value: float, json_text: str, hash_text: str) -> None:
    """Every recorded DOUBLE has the recorded digits, on the wire and in the hash."""
    assert json_float(value) == json_text
    assert mysql_double(value) == hash_text


@pytest.mark.parametrize(("value", "json_text", "hash_text"), _column("float", 1))
def test_floats_are_written_as_recorded(value: float, json_text: str, hash_text: str) -> None:
    """Every recorded FLOAT is hashed with its 6 recorded digits."""
    assert json_float(value) == json_text
    assert mysql_float(value) == hash_text


@pytest.mark.parametrize(("index", "decimals"), [(2, 2), (3, 3)])
def test_fixed_decimals_are_written_as_recorded(index: int, decimals: int) -> None:
    """Columns with fixed decimals are hashed with all of them."""
    for value, _, hash_text in _column("float", index):
        assert fixed_float(value, decimals) == hash_text


@pytest.mark.parametrize(("value", "json_text", "hash_text"), _column("s_real", 1))
def test_reals_of_sqlite_are_written_as_recorded(value: float, json_text: str, hash_text: str) -> None:
    """Every recorded REAL of SQLite is hashed with PHP's 14 digits."""
    assert json_float(value) == json_text
    assert php_float(value) == hash_text


def test_php_names_what_is_not_finite() -> None:
    """Infinity and NaN have PHP's names."""
    assert [php_float(value) for value in (math.inf, -math.inf, math.nan)] == ["INF", "-INF", "NAN"]


@pytest.mark.parametrize("write", [json_float, php_float, mysql_double, mysql_float])
def test_zero_has_no_sign(write: object) -> None:
    """Negative zero is written as zero everywhere."""
    assert write(-0.0) == write(0.0) == "0"  # type: ignore[operator]
    assert fixed_float(-0.0, 2) == "0.00"


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_json_has_no_infinity(value: float) -> None:
    """A number that JSON does not have is refused."""
    with pytest.raises(ValueError, match="JSON has no"):
        json_float(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_read_back_as_the_same_number(value: float) -> None:
    """The text of any double reads back as the same number, on the wire and in the hash."""
    assert float(json_float(value)) == float(mysql_double(value)) == value


def test_mariadb_writes_the_same_digits(mariadb_url: str) -> None:
    """MariaDB's text of thousands of random numbers equals ours for the hash."""
    numbers = random.Random(1)  # always the same ones, so that a failure can be repeated
    values = [struct.unpack("<d", numbers.randbytes(8))[0] for _ in range(1500)]
    values = [value for value in values if math.isfinite(value)]
    values += [numbers.uniform(-1, 1) * 10.0 ** numbers.randint(-25, 25) for _ in range(1500)]
    values += [numbers.uniform(-1, 1) * 10.0 ** numbers.randint(13, 18) for _ in range(1000)]
    values += [numbers.randint(1, 9999) * 10.0 ** numbers.randint(-25, 25) for _ in range(1000)]
    values += [0.0, -0.0, 1e14, 1e15, 999999999999999.0, 1e-14, 1e-15, 9.9e-15, 0.5, 0.125, 2.5]
    floats = [struct.unpack("<f", struct.pack("<f", value))[0] if abs(value) < 3e38 else 0.0 for value in values]
    fixed = [value if abs(value) < 1e15 else 0.0 for value in values]
    engine = create_engine(mariadb_url)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE numbers (id INT PRIMARY KEY, d DOUBLE, f FLOAT, g DOUBLE(20,3))")
        rows = ",".join(
            f"({number},{d!r},{f!r},{g!r})" for number, (d, f, g) in enumerate(zip(values, floats, fixed, strict=True))
        )
        connection.exec_driver_sql(f"INSERT INTO numbers VALUES {rows}")
        found = connection.exec_driver_sql("SELECT CONCAT_WS('|', d, f, g), CAST(g AS DOUBLE) FROM numbers ORDER BY id").all()
    engine.dispose()
    expected = [
        f"{mysql_double(d)}|{mysql_float(f)}|{fixed_float(g, 3)}" for d, f, (_, g) in zip(values, floats, found, strict=True)
    ]
    assert [text for text, _ in found] == expected

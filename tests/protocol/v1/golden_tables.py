"""The recorded tables: what a real server put on the wire, and the bytes that it hashed."""

from __future__ import annotations

import json
from pathlib import Path

from airflow_provider_sync.protocol.v1.rows import Row, Value

TABLES = Path(__file__).parents[2] / "golden" / "tables"
NAMES = sorted(path.stem for path in TABLES.glob("*.ndjson"))

# How the values stand in the database, where the JSON does not tell.
_DOUBLES = {"double": {"d"}, "float": {"f", "g", "h", "i"}, "s_real": {"d"}, "s_num": {"n", "d"}}
_BYTES = {"binary_utf8": {"b", "v", "l"}}


def wire(name: str) -> bytes:
    """Return the inflated body of ``/getTable``."""
    return (TABLES / f"{name}.ndjson").read_bytes()


def hashed(name: str) -> list[list[bytes]]:
    """Return the fields that were hashed, row by row; only for tables whose values have neither ``|`` nor line breaks."""
    lines = (TABLES / f"{name}.hashed.txt").read_text().split("\n")[:-1]
    return [line.encode().decode("unicode_escape").encode("latin-1").split(b"|")[1:] for line in lines]


def rows(name: str) -> tuple[list[str], list[Row]]:
    """Return column names and rows as a database gives them, without the rows that the server lost."""
    objects = [json.loads(line) for line in wire(name).split(b"\n") if line]
    columns = list(objects[0]) if objects else []
    return columns, [tuple(_value(name, column, entry[column]) for column in columns) for entry in objects]


def _value(name: str, column: str, value: Value) -> Value:
    if isinstance(value, int) and column in _DOUBLES.get(name, ()):
        return float(value)
    if isinstance(value, str) and column in _BYTES.get(name, ()):
        return value.encode()
    return value

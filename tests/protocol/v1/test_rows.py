"""Rows as lines of JSON, written and read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import IncompleteStreamError, ProtocolError, TableError
from airflow_provider_sync.protocol.v1.rows import Row, RowEncoder, RowReader, Value
from tests.protocol.v1 import golden_tables

_LOST = {"binary_invalid", "binary_mixed", "geometry", "s_blob", "s_real"}
_INTEGERS = st.integers(-(2**63), 2**63 - 1)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.one_of(st.none(), _INTEGERS, st.text(), _FLOATS)
_NAMES = st.lists(st.text(max_size=5), min_size=1, max_size=4, unique=True)


@st.composite
def _tables(draw: st.DrawFn) -> tuple[list[str], list[Row]]:
    names = draw(_NAMES)
    return names, draw(st.lists(st.tuples(*[_VALUES] * len(names)), max_size=20))


def _as_kind(found: Value, sent: Value) -> Value:
    """Take a whole number for the double that it was: JSON as PHP writes it does not tell them apart."""
    return float(found) if isinstance(sent, float) and isinstance(found, int) else found


def _read(*chunks: bytes, **options: int) -> list[Row]:
    return [row for batch in RowReader(chunks, **options) for row in batch]


def _refused(body: bytes, kind: type[Exception] = ProtocolError) -> str:
    """Return why a body is refused, in one piece and byte by byte alike."""
    reasons = set()
    for chunks in ([body], [body[place : place + 1] for place in range(len(body))]):
        with pytest.raises(kind) as caught:
            list(RowReader(chunks))
        reasons.add(str(caught.value))
    assert "secret" not in "".join(reasons), "a message must not quote a row"
    return " / ".join(sorted(reasons))


@pytest.mark.parametrize("name", golden_tables.NAMES)
def test_recorded_rows_are_written_byte_for_byte(name: str) -> None:
    """Rows of a database are written like by the existing server, except for rows that it lost."""
    columns, rows = golden_tables.rows(name)
    expected = b"".join(line for line in golden_tables.wire(name).splitlines(keepends=True) if line != b"\n")
    assert RowEncoder(columns).encode(rows) == expected


@pytest.mark.parametrize("name", sorted(set(golden_tables.NAMES) - _LOST))
def test_recorded_bodies_are_read(name: str) -> None:
    """Every value of an existing server's body is read, in any pieces."""
    columns, _ = golden_tables.rows(name)
    body = golden_tables.wire(name)
    expected = [tuple(json.loads(line).values()) for line in body.splitlines()]
    reader = RowReader([body])
    assert [row for batch in reader for row in batch] == expected
    assert (reader.columns, reader.count) == (tuple(columns), len(expected))
    assert _read(*(body[place : place + 7] for place in range(0, len(body), 7))) == expected


@pytest.mark.parametrize("name", sorted(_LOST))
def test_a_lost_row_is_refused(name: str) -> None:
    """A row that an existing server lost is an error that recommends version 2."""
    assert "version 2" in _refused(golden_tables.wire(name), TableError)


@given(_tables(), st.integers(1, 40))
def test_any_rows_come_back(table: tuple[list[str], list[Row]], size: int) -> None:
    """For any rows and any pieces of the body, the same rows come out."""
    names, rows = table
    body = RowEncoder(names).encode(rows)
    reader = RowReader([body[place : place + size] for place in range(0, len(body), size)])
    found = [row for batch in reader for row in batch]
    assert [tuple(map(_as_kind, row, as_sent)) for row, as_sent in zip(found, rows, strict=True)] == rows
    assert reader.columns == (tuple(names) if rows else ())
    assert body.isascii()


@given(_tables())
def test_every_truncation_within_a_line_is_an_error(table: tuple[list[str], list[Row]]) -> None:
    """A body that is cut at any place, except between two lines, is an error."""
    names, rows = table
    body = RowEncoder(names).encode(rows[:2])
    for end in range(1, len(body)):
        if body[end - 1 : end] != b"\n":
            with pytest.raises(IncompleteStreamError):
                _read(body[:end])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**63 - 1, "9223372036854775807"),
        (2**63, '"9223372036854775808"'),
        (2**64 - 1, '"18446744073709551615"'),
        (-(2**63), "-9223372036854775808"),
        (b"bytes \xc3\xa9", r'"bytes \u00e9"'),
        ("\x7f/\\u007f", '"\x7f\\/\\\\u007f"'),
        ("\ud7ff", r'"\ud7ff"'),
        (1e17, "1.0e+17"),
        (-0.0, "0"),
    ],
)
@pytest.mark.parametrize("beside", [[], [None], [1], ["text"]])
def test_values_are_written_as_php_writes_them(value: Value, text: str, beside: list[Value]) -> None:
    """A value is written in the same way, whatever other values its column has."""
    rows: list[Row] = [(value,), *((other,) for other in beside)]
    first = RowEncoder(["%s/é"]).encode(rows).splitlines()[0].decode()
    assert first == '{"%s\\/\\u00e9":' + text + "}"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\xff", "bytes that are not UTF-8"),
        (math.inf, "infinite or not a number"),
        (math.nan, "infinite or not a number"),
        ("\udc80", "half of a surrogate pair"),
    ],
)
def test_what_json_cannot_hold_is_refused(value: bytes | float | str, reason: str) -> None:
    """A value that JSON cannot hold is an error with the column and the remedy, instead of a lost row."""
    with pytest.raises(TableError, match=f"'bad' holds .*{reason}.*version 2"):
        RowEncoder(["id", "bad"]).encode([(1, "fine"), (2, value)])


def test_booleans_become_numbers() -> None:
    """True and false, which PHP never writes for MySQL's columns, become 1 and 0."""
    assert _read(b'{"a":true,"b":"true"}\n{"a":false,"b":null}\n') == [(1, "true"), (0, None)]


def test_white_space_within_a_line_is_harmless() -> None:
    """JSON with white space can be read."""
    assert _read(b'{ "a" : 1, "b" : "\\" : " }\r\n{"a":\r2,"b":""}\n') == [(1, '" : '), (2, "")]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"a":1}\n{"a":[1]}\n', "Row 2 is not an object of plain values"),
        (b'{"a":{"b":"secret"}}\n', "Row 1 is not an object of plain values"),
        (b"{}\n", "Row 1 has no columns"),
        (b'{"a":1}\n{}\n', "Row 2 has the columns"),
        (b"[1]\n", "Row 1 is not an object of plain values"),
        (b'{"a":1}\n{"a":2,"b":3}\n', "Row 2 has the columns 'a', 'b'"),
        (b'{"a":1,"b":2}\n{"b":2,"a":1}\n', "Row 2 has the columns 'b', 'a'"),
        (b'{"a":1,"a":2}\n', "Row 1 has a column twice"),
        (b'{"a" :1,"a":2}\n', "Row 1 has a column twice"),
        (b'{"a":1,"b":2}\n{"a":1,"b":2,"a":3}\n', "Row 2 has a column twice"),
        (b'{"a":"secret\xff"}\n', "Row 1 is not valid JSON: it is not UTF-8"),
        (b'{"a":"\\ud800"}\n', "Row 1 is not valid JSON"),
        (b'{"a":"secret}\n', "Row 1 is not valid JSON"),
        (b'{"a":NaN}\n', "Row 1 is not valid JSON"),
        (b'{"a":1}{"a":2}\n', "Row 1 is not valid JSON|one JSON object per line"),
        (b"<html>\n<body>\n", "Row 1 is not valid JSON"),
        (b'{"a":1}\n{\n    "message": "Server Error"\n}\n', "Server Error"),
        (b'{"a":1}\n{\n    "message": "Server Error"\n}', "Server Error"),
        (b'{"a":1}\n{"message":"Server Error"}', "Server Error"),
        (b'{"a":1}\n{"a":"cut he{\n    "message": "Server Error"\n}', "Server Error"),
    ],
)
def test_what_is_not_a_table_is_refused(body: bytes, reason: str) -> None:
    """An impossible body is refused with the number of the row, but never its content."""
    message = _refused(body)
    assert any(part in message for part in reason.split("|"))


@pytest.mark.parametrize("body", [b'\n{"a":1}\n', b'{"a":1}\n\n{"a":2}\n', b'{"a":1}\n\n', b"\n"])
def test_an_empty_line_is_a_lost_row(body: bytes) -> None:
    """An empty line at any place counts as a lost row."""
    assert "came as an empty line" in _refused(body, TableError)


def test_a_line_without_end_is_stopped() -> None:
    """A row beyond the limit is refused before it fills the memory."""

    def endless() -> Iterable[bytes]:
        while True:
            yield b"x" * 1000

    with pytest.raises(ProtocolError, match="Row 1 is longer than 5000 bytes"):
        list(RowReader(endless(), max_line_bytes=5000))


def test_an_empty_body_has_no_columns() -> None:
    """An empty table has no rows, and is not an error."""
    reader = RowReader([])
    assert list(reader) == []
    assert reader.columns == ()

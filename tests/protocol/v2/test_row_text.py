"""The canonical row text and its digest."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from airflow_provider_sync.protocol.v2.row_text import digest_rows, row_digest, row_text
from airflow_provider_sync.protocol.v2.types import LENGTH_PREFIXED, LogicalKind

_Row = tuple[bytes | None, ...]
_Kinds = tuple[LogicalKind, ...]

# Texts that look like parts of a row text; the other kinds never hold a "|".
_MEASURED_VALUES = st.text(st.sampled_from("|01234a\\ü"), max_size=5).map(str.encode)
_OTHER_VALUES = st.text(st.sampled_from("01234-.a"), min_size=1, max_size=4).map(str.encode)
_FEW = st.lists(st.sampled_from([LogicalKind.TEXT, LogicalKind.JSON, LogicalKind.INTEGER]), min_size=1, max_size=4)
_MANY = st.integers(15, 31).map(lambda times: [LogicalKind.INTEGER, LogicalKind.TEXT, LogicalKind.JSON, LogicalKind.DATE] * times)
_KINDS = (_FEW | _MANY).map(tuple)


def _rows(kinds: _Kinds) -> st.SearchStrategy[_Row]:
    few = st.tuples(*(st.none() | (_MEASURED_VALUES if kind in LENGTH_PREFIXED else _OTHER_VALUES) for kind in kinds[:4]))
    return few.map(lambda row: row * (len(kinds) // len(row)))


_TABLES = _KINDS.flatmap(lambda kinds: st.tuples(st.just(kinds), st.lists(_rows(kinds), max_size=5)))
_PAIRS = _KINDS.flatmap(lambda kinds: st.tuples(st.just(kinds), _rows(kinds), _rows(kinds)))


@pytest.mark.parametrize(
    ("row", "kinds", "text"),
    [
        ((b"7", b"a|b", None, b"1.10"), ("integer", "text", "text", "decimal"), b"7|3|a|b|1.10|4"),
        ((b"",), ("text",), b"0||0"),
        ((None,), ("text",), b"1"),
        ((b"\xc3\xbc",), ("json",), b"2|\xc3\xbc|0"),
        ((b"00ff", b"2024-02-29"), ("bytes", "date"), b"00ff|2024-02-29|0"),
        ((*[b"1"] * 59, None, None), ("integer",) * 61, b"1|" * 59 + b"%d|1" % (1 << 59)),
        ((b"1",) * 60, ("integer",) * 60, b"1|" * 60 + b"0"),
    ],
)
def test_the_text_is_as_documented(row: _Row, kinds: tuple[str, ...], text: bytes) -> None:
    """The row text has the bytes that engines build."""
    assert row_text(row, tuple(map(LogicalKind, kinds))) == text


def test_the_digest_is_the_beginning_of_sha256() -> None:
    """The digest is the first 15 hex digits, as databases cut them."""
    assert row_digest(b"7|3|a|b|1.10|4") == int(hashlib.sha256(b"7|3|a|b|1.10|4").hexdigest()[:15], 16)


@given(_PAIRS)
@example(((LogicalKind.TEXT, LogicalKind.TEXT), (b"1|0", None), (None, b"1|0")))
@example(((LogicalKind.TEXT, LogicalKind.TEXT), (b"", b""), (b"|0|", None)))
@example(((LogicalKind.INTEGER, LogicalKind.INTEGER), (b"1", None), (None, b"1")))
def test_different_rows_have_different_texts(pair: tuple[_Kinds, _Row, _Row]) -> None:
    """Different rows have different texts, with any values and NULL."""
    kinds, one, other = pair
    assume(one != other)
    assert row_text(one, kinds) != row_text(other, kinds)


@given(_KINDS.flatmap(lambda kinds: st.tuples(st.just(kinds), _rows(kinds))), st.data())
def test_every_change_of_one_value_changes_the_text(table: tuple[_Kinds, _Row], data: st.DataObject) -> None:
    """Rows that differ in one value have different texts."""
    kinds, row = table
    place = data.draw(st.integers(0, len(row) - 1))
    value = data.draw(st.none() | (_MEASURED_VALUES if kinds[place] in LENGTH_PREFIXED else _OTHER_VALUES))
    assume(value != row[place])
    assert row_text((*row[:place], value, *row[place + 1 :]), kinds) != row_text(row, kinds)


@given(_TABLES)
def test_many_rows_at_once_have_the_same_digests(table: tuple[_Kinds, list[_Row]]) -> None:
    """The fast form gives the reference's digest for every row in order, with and without NULL."""
    kinds, rows = table
    assert digest_rows(rows, kinds) == [row_digest(row_text(row, kinds)) for row in rows]


def test_rows_of_another_width_are_not_digested() -> None:
    """A row with a wrong number of fields is an error of the caller, and has no digest."""
    for rows in ([(b"1", b"2")], [(b"1",), (b"1", b"2")], [(b"1", None)]):
        with pytest.raises(ValueError, match="argument"):
            digest_rows(rows, [LogicalKind.INTEGER])

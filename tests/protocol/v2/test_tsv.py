"""Rows and keys as lines of text."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.protocol.v2.tsv import decode_columns, decode_keys, decode_rows, encode_keys, encode_rows, from_copy

_AWKWARD = st.text(st.sampled_from("\\\t\n\r\x1d\x1e\x1f\0N|tnra ü"), max_size=6)
_BYTES = st.binary(max_size=6) | _AWKWARD.map(str.encode)
_VALUES = st.none() | _BYTES


def _tables(values: st.SearchStrategy[bytes | None]) -> st.SearchStrategy[list[tuple[bytes | None, ...]]]:
    return st.integers(1, 4).flatmap(lambda columns: st.lists(st.tuples(*[values] * columns), min_size=1, max_size=6))


@given(_tables(_VALUES))
@example([(None,)])
@example([(b"",), (b"",)])
@example([(b"\\N", None)])
@example([(b"a\tb", b"c"), (b"d", b"e\x1f")])
def test_any_rows_come_back(rows: list[tuple[bytes | None, ...]]) -> None:
    """For any bytes, including separators and escapes, the same rows come out."""
    assert decode_rows(encode_rows(rows), len(rows[0])) == rows


@given(_tables(_BYTES))
def test_rows_without_null_come_back(rows: list[tuple[bytes | None, ...]]) -> None:
    """The faster way for rows without NULL gives the same rows."""
    assert decode_rows(encode_rows(rows), len(rows[0])) == rows


@given(_tables(_VALUES))
def test_columns_are_those_of_the_rows(rows: list[tuple[bytes | None, ...]]) -> None:
    """Reading column by column gives the same values."""
    columns = decode_columns(encode_rows(rows), len(rows[0]))
    assert list(zip(*columns, strict=True)) == rows


@given(_tables(_VALUES))
def test_databases_can_load_the_lines(rows: list[tuple[bytes | None, ...]]) -> None:
    """Tabs and line feeds occur only as separators, carriage returns never, and every row is one line."""
    block = encode_rows(rows)
    assert block.count(b"\n") == len(rows)
    assert block.count(b"\t") == len(rows) * (len(rows[0]) - 1)
    assert b"\r" not in block
    assert block.endswith(b"\n")


def test_the_form_is_that_of_copy_and_load_data() -> None:
    r"""NULL is ``\N``; backslash, tab, line feed and carriage return are escaped; nothing else is."""
    assert encode_rows([(b"7", None, b"a\\b\tc\nd\re\0f\x1fg")]) == b"7\t\\N\ta\\\\b\\tc\\nd\\re\0f\x1fg\n"
    assert encode_rows([]) == b""
    assert decode_rows(b"", 3) == []


@pytest.mark.parametrize("block", [b"1\t2\n3\n", b"1\n2\t3\n", b"1\t2\t3\n", b"\n", b"1\t\\\\\t3\n", b"1\t2\n\n"])
def test_another_number_of_columns_is_refused(block: bytes) -> None:
    """A row with a wrong number of fields is an error at any place, even if the total is right."""
    for decode in (decode_rows, decode_columns):
        with pytest.raises(ProtocolError, match="where 2 were described"):
            decode(block, 2)


def test_lines_that_are_too_short_are_not_put_together() -> None:
    """Two lines with one field each are not one row of three columns."""
    for decode in (decode_rows, decode_columns):
        with pytest.raises(ProtocolError, match="where 3 were described"):
            decode(b"1\n2\n", 3)


@pytest.mark.parametrize("block", [b"\\x\n", b"a\\\n", b"\\\n", b"a\\N\n", b"\\Na\n", b"\\\\\\\n", b"\\b\n"])
def test_unknown_escapes_are_refused(block: bytes) -> None:
    """An unknown escape, and a backslash at the end, are errors."""
    with pytest.raises(ProtocolError, match="escape"):
        decode_rows(block, 1)


def test_a_cut_block_is_refused() -> None:
    """A last line without its line feed is an error."""
    with pytest.raises(ProtocolError, match="line feed"):
        decode_rows(b"1\n2", 1)
    with pytest.raises(ProtocolError, match="line feed"):
        decode_keys(b"1\n2", 1)


_KEY_PARTS = _AWKWARD | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@given(st.integers(1, 3).flatmap(lambda columns: st.lists(st.tuples(*[_KEY_PARTS] * columns), min_size=1, max_size=6)))
@example([("",)])
@example([("a\u2028b\x85",), ("c",)])
def test_any_keys_come_back(keys: list[tuple[str, ...]]) -> None:
    """Any key comes back from bytes and from text, and is written like rows."""
    block = encode_keys(keys)
    assert decode_keys(block, len(keys[0])) == keys
    assert decode_keys(block.decode(), len(keys[0])) == keys
    assert block == encode_rows([[part.encode() for part in key] for key in keys])


def test_no_keys_are_nothing() -> None:
    """No keys are an empty text."""
    assert (encode_keys([]), decode_keys(b"", 2)) == (b"", [])


@pytest.mark.parametrize(
    ("block", "columns", "reason"),
    [
        (b"\\N\n", 1, "NULL"),
        (b"a\t\\N\n", 2, "NULL"),
        (b"\xff\n", 1, "UTF-8"),
        (b"a\tb\nc\n", 2, "1 fields where 2"),
        (b"a\tb\n", 1, "2 fields where 1"),
        ("\\a\n", 1, "escape"),
    ],
)
def test_what_is_no_key_is_refused(block: bytes | str, columns: int, reason: str) -> None:
    """NULL, bytes that are not text, and a wrong number of columns are not keys."""
    with pytest.raises(ProtocolError, match=reason):
        decode_keys(block, columns)


def _copied(value: bytes | None) -> bytes:
    """Write a value as PostgreSQL's CopyAttributeOutText does."""
    if value is None:
        return b"\\N"
    for plain, letter in (
        (b"\\", b"\\"),
        (b"\b", b"b"),
        (b"\f", b"f"),
        (b"\n", b"n"),
        (b"\r", b"r"),
        (b"\t", b"t"),
        (b"\v", b"v"),
    ):
        value = value.replace(plain, b"\\" + letter)
    return value


@given(_tables(st.none() | st.text(st.sampled_from("\\\b\f\v\t\n\rbfvN"), max_size=6).map(str.encode)))
def test_lines_of_copy_are_read(rows: list[tuple[bytes | None, ...]]) -> None:
    """PostgreSQL's COPY lines, with its three additional escapes, become the lines of this format."""
    block = b"".join(b"\t".join(map(_copied, row)) + b"\n" for row in rows)
    assert from_copy(block) == encode_rows(rows)

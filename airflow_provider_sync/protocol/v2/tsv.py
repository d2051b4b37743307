r"""Encode and decode rows and keys as TSV, in the form that PostgreSQL's COPY and MySQL's LOAD DATA read unchanged.

Fields are separated by a tab, and each row ends with a line feed; ``\N`` is NULL, and ``\\``, ``\t``, ``\n`` and ``\r`` are
escapes. All other bytes stand for themselves. Functions take many rows at once, since a million calls cost a second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import AnyStr

from airflow_provider_sync.exceptions import ProtocolError

_NULL = b"\\N"
_ESCAPES = ((b"\\", b"\\\\"), (b"\t", b"\\t"), (b"\n", b"\\n"), (b"\r", b"\\r"))
_MEANINGS = {escape: plain for plain, escape in _ESCAPES}
_ESCAPE = re.compile(rb"\\.?", re.DOTALL)

# Temporary separators until values are escaped; a block whose values contain one of them is escaped value by value.
_FIELD_MARK, _ROW_MARK, _NULL_MARK = b"\x1f", b"\x1e", b"\x1d"

_COPY_ONLY = {b"\\b": b"\b", b"\\f": b"\f", b"\\v": b"\v"}
_COPY_ONLY_ESCAPE = re.compile(rb"\\[bfv]")


def encode_rows(rows: Sequence[Sequence[bytes | None]]) -> bytes:
    """Write rows.

    :param rows: canonical texts, ``None`` for NULL; each row has the same number of columns
    """
    if not rows:
        return b""
    tabs = len(rows) * (len(rows[0]) - 1)
    try:
        block = b"\n".join(map(b"\t".join, rows))  # type: ignore[arg-type]  # the handler deals with NULL
    except TypeError:
        return _encode_marked(rows, sum(row.count(None) for row in rows))
    if block.count(b"\t") == tabs and block.count(b"\n") == len(rows) - 1 and b"\\" not in block and b"\r" not in block:
        return block + b"\n"
    return _encode_marked(rows, 0)


def decode_rows(block: bytes, columns: int) -> list[tuple[bytes | None, ...]]:
    """Read whole lines.

    :param columns: fields that every row must have
    :raises ProtocolError: for a line without a line feed, another number of fields, or an unknown escape
    """
    rows: list[tuple[bytes | None, ...]]
    lines = _lines(block, b"\n")
    if b"\\" in block:
        rows = [
            tuple([_unescape(field) if b"\\" in field else field for field in line.split(b"\t")])
            if b"\\" in line
            else tuple(line.split(b"\t"))
            for line in lines
        ]
    else:
        rows = [tuple(line.split(b"\t")) for line in lines]
    _check_columns(rows, columns)
    return rows


def decode_columns(block: bytes, columns: int) -> list[Sequence[bytes | None]]:
    """Read whole lines column by column; see :func:`decode_rows`."""
    # Turn line feeds into fields, so that their positions show whether each line has the right number of fields.
    fields = block.replace(b"\n", b"\t\n\t").split(b"\t")
    fits = not fields.pop() and len(fields) == block.count(b"\n") * (columns + 1)
    if fits and fields[columns :: columns + 1].count(b"\n") == len(fields) // (columns + 1):
        read: list[Sequence[bytes | None]] = [fields[place :: columns + 1] for place in range(columns)]
        escapes = block.count(b"\\")
        for place, column in enumerate(read) if escapes else ():
            if nulls := column.count(_NULL):
                read[place] = [None if field == _NULL else field for field in column]
                escapes -= nulls
        if not escapes:
            return read
    return list(zip(*decode_rows(block, columns), strict=True))


def encode_keys(keys: Sequence[tuple[str, ...]]) -> bytes:
    """Write keys: canonical texts, never NULL; each key has the same number of columns."""
    if not keys:
        return b""
    text = "\n".join(["\t".join(key) for key in keys]) + "\n"
    tabs = len(keys) * (len(keys[0]) - 1)
    if text.count("\t") == tabs and text.count("\n") == len(keys) and "\\" not in text and "\r" not in text:
        return text.encode()
    return encode_rows([[part.encode() for part in key] for key in keys])


def decode_keys(block: bytes | str, columns: int) -> list[tuple[str, ...]]:
    """Read whole lines of keys.

    :param columns: number of columns of the key
    :raises ProtocolError: as :func:`decode_rows`, and for NULL and bytes that are not UTF-8
    """
    try:
        text = block if isinstance(block, str) else block.decode()
    except UnicodeDecodeError as error:
        raise _unreadable("A key is not UTF-8. Do client and server run the same version?") from error
    if "\\" in text:
        return [tuple(map(_key_part, row)) for row in decode_rows(text.encode(), columns)]
    if columns == 1 and "\t" not in text:
        return [(line,) for line in _lines(text, "\n")]
    keys = [tuple(line.split("\t")) for line in _lines(text, "\n")]
    _check_columns(keys, columns)
    return keys


def from_copy(block: bytes) -> bytes:
    r"""Convert whole lines of PostgreSQL's ``COPY … TO``, which also escapes ``\b``, ``\f`` and ``\v``, to this form."""
    # An eighth of the time of three searches with `in` when the letters are frequent.
    if not _COPY_ONLY_ESCAPE.search(block):
        return block
    return _ESCAPE.sub(lambda match: _COPY_ONLY.get(match[0], match[0]), block)


def _encode_marked(rows: Sequence[Sequence[bytes | None]], nulls: int) -> bytes:
    """Escape the whole block at once, or value by value if a value contains a mark (a temporary separator or the NULL mark)."""
    block = _ROW_MARK.join([_FIELD_MARK.join([_NULL_MARK if value is None else value for value in row]) for row in rows])
    marks = (
        (_FIELD_MARK, len(rows) * (len(rows[0]) - 1), b"\t"),
        (_ROW_MARK, len(rows) - 1, b"\n"),
        (_NULL_MARK, nulls, _NULL),
    )
    if any(block.count(mark) != count for mark, count, _ in marks):
        return b"".join([b"\t".join([_NULL if value is None else _escape(value) for value in row]) + b"\n" for row in rows])
    block = _escape(block)
    for mark, _, separator in marks:
        block = block.replace(mark, separator)
    return block + b"\n"


def _escape(value: bytes) -> bytes:
    for plain, escape in _ESCAPES:
        value = value.replace(plain, escape)
    return value


def _unescape(field: bytes) -> bytes | None:
    if field == _NULL:
        return None
    try:
        return _ESCAPE.sub(lambda match: _MEANINGS[match[0]], field)
    except KeyError as error:
        raise _unreadable(
            f"Rows may not have the escape {error.args[0]!r}. Do client and server run the same version?"
        ) from error


def _unreadable(message: str) -> ProtocolError:
    """Return an error without a table name, which the caller adds."""
    return ProtocolError(message).without_subject()


def _key_part(part: bytes | None) -> str:
    if part is None:
        raise _unreadable("A part of a key is NULL, which identifies no row. Do client and server run the same version?")
    return part.decode()


def _lines(text: AnyStr, newline: AnyStr) -> list[AnyStr]:
    lines = text.split(newline)
    if lines.pop():
        raise _unreadable("A row ends without a line feed. Was the block cut?")
    return lines


def _check_columns(rows: Sequence[Sequence[object]], columns: int) -> None:
    if rows and set(map(len, rows)) != {columns}:
        wrong = next(len(row) for row in rows if len(row) != columns)
        raise _unreadable(f"A row has {wrong} fields where {columns} were described. Do client and server run the same version?")

"""Encode and decode the rows of a table on the wire: one JSON object per line, written as PHP writes it.

Compression is in ``compression``; the engines in ``databases`` decide how a column's value is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from json import loads
from json.encoder import encode_basestring_ascii
from typing import Any, cast

import msgspec

from airflow_provider_sync.exceptions import IncompleteStreamError, ProtocolError, SyncError, TableError
from airflow_provider_sync.protocol.v1.glued_error import TAIL_BYTES, failed_in_midstream, glued_error
from airflow_provider_sync.protocol.v1.json_text import count_strings, escape_slashes, quote
from airflow_provider_sync.protocol.v1.numbers import json_float

Value = int | float | str | bytes | None
Row = tuple[Value, ...]

MAX_LINE_BYTES = 64 * 1024 * 1024
MAX_COLUMNS = 32_768

_PHP_INTEGERS = range(-(2**63), 2**63)
_LOST_ROW = (
    "came as an empty line: the server lost it, since it holds bytes that are not UTF-8, or an infinite number, and version 1 of"
    " the protocol cannot carry those. Leave that column out on the server, or use version 2 on both ends."
)


class RowEncoder:
    """Writes rows as lines of JSON.

    :param columns: names of the columns, in the order of the values in a row
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self._template = "{" + ",".join(f"{quote(name).replace('%', '%%')}:%s" for name in columns) + "}\n"

    def encode(self, rows: Sequence[Row]) -> bytes:
        """Return the lines of ``rows``.

        :raises TableError: naming the column, for a value that JSON cannot hold: bytes that are not UTF-8, infinity, NaN
        """
        text = self._lines(rows, encode_basestring_ascii)
        if "\\u007f" in text or "\\ud" in text:
            # The text may hold U+007F, which PHP does not escape, or half of a surrogate pair; the slower `quote` handles both.
            text = self._lines(rows, quote)
        return escape_slashes(text).encode("ascii" if text.isascii() else "utf-8")

    def _lines(self, rows: Sequence[Row], quoted: Callable[[str], str]) -> str:
        if not rows:
            return ""
        # Write column by column, since the values of one column are nearly always of one type.
        columns = [_texts(name, values, quoted) for name, values in zip(self._columns, zip(*rows, strict=True), strict=True)]
        return "".join(map(self._template.__mod__, zip(*columns, strict=True)))


class RowReader:
    """Reads rows from the decompressed body of ``/getTable``, about one batch per chunk, with one batch in memory.

    :param chunks: the body, in chunks of any size
    :param max_line_bytes: bytes of the longest allowed line
    :ivar columns: names of the columns, in the order of the values in a row; known with the first batch, empty for an empty table
    :ivar count: rows read so far
    """

    def __init__(self, chunks: Iterable[bytes], *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._chunks = iter(chunks)
        self._max_line_bytes = max_line_bytes
        self._decoder = msgspec.json.Decoder(dict[str, int | float | str | bool | None])
        self.columns: tuple[str, ...] = ()
        self.count = 0

    def __iter__(self) -> Iterator[list[Row]]:
        """Yield batches of rows.

        :raises TableError: for an empty line, which an existing server sends instead of a row that it cannot encode
        :raises IncompleteStreamError: when the last line has no line feed
        :raises ProtocolError: for any other line that is not an object of plain values with the same keys in the same order
        """
        pending: list[bytes] = []
        pending_bytes = 0
        for chunk in self._chunks:
            end = chunk.rfind(b"\n") + 1
            if end:
                pending.append(chunk[:end])
                yield self._decode(b"".join(pending))
                pending, pending_bytes = [], 0
            if end < len(chunk):
                pending.append(chunk[end:])
                pending_bytes += len(chunk) - end
                if pending_bytes > self._max_line_bytes:
                    raise ProtocolError(f"Row {self.count + 1} is longer than {self._max_line_bytes} bytes. Is this a table?")
        if pending:
            raise self._glued(b"".join(pending)) or IncompleteStreamError(
                f"The body ended within row {self.count + 1}. Nothing of it was used; try again."
            )

    def _decode(self, lines: bytes) -> list[Row]:
        # Only the first line may have begun in an earlier chunk, and so be long. Each column is a name and at most one string.
        first = lines[: lines.index(b"\n")]
        if first.count(b'"') > 4 * MAX_COLUMNS and count_strings(first) > 2 * MAX_COLUMNS:
            raise self._too_many_columns()
        try:
            objects = self._decoder.decode_lines(lines)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._fault(lines) from error
        # The decoder accepts empty lines and line breaks within an object as white space, so count the lines.
        if len(objects) != lines.count(b"\n") or lines.startswith(b"\n") or b"\n\n" in lines:
            raise self._fault(lines)
        if not self.columns:
            self.columns = tuple(objects[0])
            if not self.columns:
                raise ProtocolError("Row 1 has no columns. Is the URL that of a sync server?")
            if len(self.columns) > MAX_COLUMNS:
                raise self._too_many_columns()
            # Check slowly: the quick check below misses keys with white space before the colon.
            self._check_each(first + b"\n")
        # Every `":` outside of a string ends a key. Counting them finds duplicate keys: the decoder keeps only the last value.
        marks = lines.count(b'":') - lines.count(b'\\":')
        if marks != len(objects) * len(self.columns) or set(map(tuple, objects)) != {self.columns}:
            self._check_each(lines)
        if b"true" in lines or b"false" in lines:
            for row in objects:
                row.update((name, int(value)) for name, value in row.items() if isinstance(value, bool))
        self.count += len(objects)
        return [tuple(row.values()) for row in objects]

    def _check_each(self, lines: bytes) -> None:
        """Check the keys of every line, slowly: the caller's quick check also fails for harmless white space."""
        for number, line in enumerate(lines.split(b"\n")[:-1], self.count + 1):
            try:
                keys = tuple(key for key, _ in loads(line, object_pairs_hook=list))
            except ValueError as error:
                # There are as many objects as lines, but not one on each line.
                raise self._glued(line) or ProtocolError(f"Row {number} is not one JSON object on one line.") from error
            if len(set(keys)) != len(keys):
                raise ProtocolError(f"Row {number} has a column twice, so that a value of it is lost. Rename one on the server.")
            if keys != self.columns:
                raise self._glued(line) or ProtocolError(
                    f"Row {number} has the columns {_listed(keys)}, and the rows before it have {_listed(self.columns)}."
                    " Did the table change while it was read? Try again."
                )

    def _fault(self, lines: bytes) -> SyncError:
        """Return the error that names the first wrong line and the reason."""
        for number, line in enumerate(lines.split(b"\n")[:-1], self.count + 1):
            if not line:
                return self._glued(lines) or TableError(f"Row {number} {_LOST_ROW}")
            try:
                self._decoder.decode(line)
            except msgspec.ValidationError:
                return ProtocolError(f"Row {number} is not an object of plain values. Does the URL belong to a sync server?")
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                return self._glued(lines) or ProtocolError(f"Row {number} is not valid JSON: {_reason(error)}")
        return ProtocolError(f"The rows from {self.count + 1} on are not one JSON object per line.")

    def _too_many_columns(self) -> ProtocolError:
        return ProtocolError(f"Row {self.count + 1} has more than {MAX_COLUMNS} columns. Is this a table?")

    def _glued(self, end: bytes) -> IncompleteStreamError | None:
        message = None if "message" in self.columns else glued_error(end[-TAIL_BYTES:], self._chunks)
        return None if message is None else IncompleteStreamError(failed_in_midstream(message))


def _texts(name: str, values: Sequence[Value], quoted: Callable[[str], str]) -> Iterable[object]:
    """Write the values of one column; return most integers unchanged, since the row template formats them."""
    types = set(map(type, values))
    try:
        if types == {str}:
            return list(map(quoted, cast("Sequence[str]", values)))
        if types == {int}:
            integers = cast("Sequence[int]", values)
            return integers if max(integers) in _PHP_INTEGERS and min(integers) in _PHP_INTEGERS else map(_integer, integers)
        write: dict[type, Callable[[Any], str]] = {
            int: _integer,
            float: json_float,
            str: quoted,
            bytes: lambda value: quoted(value.decode()),
            type(None): lambda value: "null",
        }
        return [write[type(value)](value) for value in values]
    except UnicodeError as error:
        what = "bytes that are not UTF-8" if bytes in types else "half of a surrogate pair"
        raise TableError(_cannot_carry(name, what)) from error
    except ValueError as error:
        raise TableError(_cannot_carry(name, "a number that is infinite or not a number")) from error


def _integer(value: int) -> str:
    return str(value) if value in _PHP_INTEGERS else f'"{value}"'


def _cannot_carry(name: str, what: str) -> str:
    return (
        f"Column {name!r} holds {what}, which version 1 of the protocol cannot carry."
        " Leave the column out with `columns`, or use version 2 on both ends."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:20])) + (" …" if len(names) > 20 else "")


def _reason(error: Exception) -> str:
    # msgspec's message has only the position within the line; a UnicodeDecodeError would quote the row.
    return str(error) if isinstance(error, msgspec.DecodeError) else "it is not UTF-8."

"""The fields in the body of a request: forms as PHP reads them, JSON, and multipart forms.

Clients number their files ``files[0]``, ``files[1]``, …, which PHP turns into an array; so does this module. Which
fields a request must have is in :mod:`airflow_provider_sync.protocol.v1.requests`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from airflow_provider_sync.protocol.v1.requests import InvalidRequest

MAX_FIELDS = 10_000
"""Maximum fields in one request. Existing servers silently drop all after the 1,000th; here too many fields are an error."""

_MAX_NESTING = 64
_MARKS_PER_FIELD = 20
_NO_LOG = logging.Logger(__name__, level=logging.CRITICAL + 1)
_ESCAPES = re.compile(rb"(?:%[0-9A-Fa-f]{2})++")


def parse_fields(body: bytes, content_type: str) -> dict[str, Any]:
    """Read the fields of a request.

    An array of a form becomes a mapping from its keys, as text and in their order, to its values. Bytes that are not
    UTF-8 become surrogates, which match no name. A malformed body, or one of any other type, has no fields.

    :param content_type: the header, with its parameters
    :raises InvalidRequest: when there are more than :data:`MAX_FIELDS`
    """
    kind, parameters = parse_options_header(content_type)
    if b"/json" in kind or b"+json" in kind:
        return _json_fields(body)
    if kind == b"application/x-www-form-urlencoded":
        return _php_fields(_form_pairs(body))
    if kind == b"multipart/form-data" and parameters.get(b"boundary"):
        return _php_fields(_multipart_pairs(body, parameters[b"boundary"]))
    return {}


def _json_fields(body: bytes) -> dict[str, Any]:
    # Each of these characters may begin a value, which takes up to two hundred bytes in memory; they may also occur in strings.
    _bound(sum(map(body.count, b"[{,:")) // _MARKS_PER_FIELD)
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if not isinstance(fields, dict):
        return {}
    _bound(max((len(value) for value in fields.values() if isinstance(value, (list, dict))), default=0))
    return fields


def _form_pairs(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    _bound(body.count(b"&") + 1)
    for pair in body.split(b"&"):
        key, _, value = pair.replace(b"+", b" ").partition(b"=")
        yield _unquoted(key), _unquoted(value)


def _unquoted(text: bytes) -> bytes:
    """Decode percent escapes one at a time; Python's ``unquote_to_bytes`` takes seventy times the memory of the text."""
    decoded = bytearray()
    end = 0
    for escapes in _ESCAPES.finditer(text):
        decoded += text[end : escapes.start()]
        decoded += bytes.fromhex(escapes[0].replace(b"%", b"").decode())
        end = escapes.end()
    return bytes(decoded + text[end:])


def _multipart_pairs(body: bytes, boundary: bytes) -> Iterable[tuple[bytes, bytes]]:
    form = _Multipart()
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]  # a TypedDict of the same callables
        # Instead of its own, to which it would write lines that the bytes of the client choose.
        parser.logger = _NO_LOG
        parser.write(body)
        parser.finalize()
    except FormParserError:
        return []
    return form.pairs


class _Multipart:
    """Collects the fields of a multipart form; skips files."""

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []
        self._header = bytearray()
        self._content = bytearray()
        self._disposition = b""
        self._value = bytearray()

    def callbacks(self) -> dict[str, Any]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._content.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._value.extend(data[start:end]),
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._disposition = b""
        self._value.clear()

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._content)
        self._header.clear()
        self._content.clear()

    def _end(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" in options and b"filename" not in options:
            self.pairs.append((options[b"name"], bytes(self._value)))
            _bound(len(self.pairs))


def _php_fields(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, Any]:
    fields = _Array()
    arrays = 0
    for key, value in pairs:
        # Keys only choose the field and appear in messages, which have to be valid UTF-8.
        path = _key_path(key.decode("utf-8", "replace"))
        if path and len(path) <= _MAX_NESTING:
            arrays += len(path) - 1
            _bound(arrays)
            _assign(fields, path, value.decode("utf-8", "surrogateescape"))
    return fields


class _Array(dict[str, Any]):
    """An array of PHP.

    :ivar next_index: lowest possible index of the next value without an index
    """

    next_index = 0


def _key_path(key: str) -> list[str]:
    """Split ``files[a][]`` into ``files``, ``a`` and an empty text, the way PHP does."""
    name, bracket, rest = key.split("\0", 1)[0].lstrip(" ").partition("[")
    if bracket and "]" not in rest:
        name, rest = f"{name}_{rest}", ""
    name = name.replace(".", "_").replace(" ", "_")
    path = [name] if name else []
    # One level more than allowed, so that the caller notices that it is too deep.
    while path and "]" in rest and len(path) <= _MAX_NESTING:
        index, _, rest = rest.partition("]")
        path.append(index)
        if not rest.startswith("["):
            break
        rest = rest[1:]
    return path


def _assign(fields: _Array, path: list[str], value: str) -> None:
    array = fields
    for index in path[:-1]:
        key = index or _free_index(array)
        if not isinstance(array.get(key), dict):
            array[key] = _Array()
        array = array[key]
    array[path[-1] or _free_index(array)] = value


def _free_index(array: _Array) -> str:
    # PHP takes the number after the largest; if a form mixes both ways of numbering, only the label in an error message differs.
    index = max(len(array), array.next_index)
    while str(index) in array:
        index += 1
    # All lower indexes are taken, so the next search begins at this one's successor.
    array.next_index = index + 1
    return str(index)


def _bound(count: int) -> None:
    if count > MAX_FIELDS:
        raise InvalidRequest({"files": [f"The request has more than {MAX_FIELDS} fields. Ask for fewer files at once."]})

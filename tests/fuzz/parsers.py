"""Every parser of what comes from the other half, or from a file, as a function of bytes; and valid inputs to begin with.

A parser may return, or raise one of :data:`ERRORS`; anything else is a finding, and so is more time or memory than its input is
worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

from airflow_provider_sync.client.refusals import Subject, refusal
from airflow_provider_sync.client.transport import seconds_to_wait
from airflow_provider_sync.config import ClientConfig, ServerConfig
from airflow_provider_sync.config.file_check import check_text
from airflow_provider_sync.config.yaml_file import parse_yaml
from airflow_provider_sync.exceptions import ConfigurationError, SyncError
from airflow_provider_sync.files import PathFilter
from airflow_provider_sync.files.paths import check_name
from airflow_provider_sync.printable import printable, printable_lines, quoted
from airflow_provider_sync.protocol.v1 import compression as gzip_stream
from airflow_provider_sync.protocol.v1.fields import parse_fields
from airflow_provider_sync.protocol.v1.file_hashes import decode_manifest
from airflow_provider_sync.protocol.v1.frames import read_frames
from airflow_provider_sync.protocol.v1.glued_error import glued_error
from airflow_provider_sync.protocol.v1.requests import (
    InvalidRequest,
    file_hashes_request,
    files_request,
    table_hash_request,
    table_request,
)
from airflow_provider_sync.protocol.v1.rows import RowReader
from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.protocol.v2.bounds import canonical_bound
from airflow_provider_sync.protocol.v2.checks import check_described, check_row_digests, check_rows, check_segments
from airflow_provider_sync.protocol.v2.compression import compressor
from airflow_provider_sync.protocol.v2.content_check import ContentCheck, is_keep_alive
from airflow_provider_sync.protocol.v2.file_checks import ChunksCheck, EntryCheck, check_file_digest
from airflow_provider_sync.protocol.v2.file_messages import (
    Chunked,
    ChunkFile,
    Chunks,
    Content,
    ContentFailed,
    DigestFiles,
    Entries,
    FileDigests,
    ListFiles,
    ReadFiles,
    RequestedFile,
    path_order,
)
from airflow_provider_sync.protocol.v2.messages import (
    Described,
    DescribeTable,
    DigestRows,
    GetRows,
    HoldSnapshot,
    Partitioning,
    RequestedSlice,
    RowDigests,
    Rows,
    Segments,
)
from airflow_provider_sync.protocol.v2.row_text import digest_rows, row_digest, row_text
from airflow_provider_sync.protocol.v2.stream import (
    choose_compression,
    parse_media_type,
    read_file_messages,
    read_messages,
)
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from airflow_provider_sync.server.directories.file_requests import decode_file_request
from airflow_provider_sync.server.json_requests import decode_json
from airflow_provider_sync.server.tables.table_requests import (
    check_requested_segments,
    decode_many_tables_request,
    decode_table_request,
    with_offered_name,
)

ERRORS = (SyncError, InvalidRequest)
LIMIT = 1 << 20
"""Bytes that a parser may make of its input, where it inflates."""

Parser = Callable[[bytes], object]

GRID = Partitioning(scheme="key_range", segment_count=4, low=1, high=9)
SLICE = RequestedSlice(name="t")
FILES = (RequestedFile(path="a", size=3, mtime_ns=1), RequestedFile(path="b", size=0, mtime_ns=1))
_KINDS = list(LogicalKind)


def _cut(data: bytes) -> Iterator[bytes]:
    """Cut a body at places that depend on its first byte."""
    size = data[0] % 16 + 1 if data else 1
    yield from (data[start : start + size] for start in range(0, len(data), size))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _frames(data: bytes) -> object:
    return [(frame.path, sum(map(len, frame.chunks))) for frame in read_frames(_cut(data))]


def _manifest(data: bytes) -> object:
    return decode_manifest(data, max_files=1000, option="limits.max_files")


def _rows(data: bytes) -> object:
    reader = RowReader(_cut(data), max_line_bytes=1 << 16)
    return [row for batch in reader for row in batch]


def _gzip(data: bytes) -> object:
    return sum(map(len, gzip_stream.decompress(_cut(data), limit=LIMIT)))


def _fields(data: bytes) -> object:
    kinds = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
    fields = parse_fields(data[1:], kinds[data[0] % 3] if data else "")
    for read in (table_hash_request, table_request, file_hashes_request, files_request):
        try:
            read(fields, {"t"})  # type: ignore[operator]  # all take these
        except InvalidRequest:
            continue
    return fields


def _stream(data: bytes) -> object:
    return list(read_messages(_cut(data[1:]), ("zstd", "gzip")[data[0] % 2] if data else "gzip", limit=LIMIT))


def _messages(data: bytes) -> object:
    """Read bytes as what a stream has inside."""
    writer = compressor("gzip")
    body = writer.write(data) + writer.finish()
    last = -1
    for message in read_messages([body], "gzip", limit=LIMIT):
        match message:
            case Described():
                check_described(message, SLICE)
            case Segments():
                last = check_segments(message, GRID, after=last)
            case RowDigests():
                check_row_digests(message)
                tsv.decode_keys(message.keys, 1)
            case Rows():
                check_rows(message, 2)
                tsv.decode_rows(message.data, 2)
    return last


def _file_stream(data: bytes) -> object:
    compression = ("zstd", "gzip", "none")[data[0] % 3] if data else "none"
    return list(read_file_messages(_cut(data[1:]), compression, limit=LIMIT))


def _file_messages(data: bytes) -> object:
    """Read bytes as what a stream of files has inside."""
    entries, chunks, content = EntryCheck(links=True), ChunksCheck("f"), ContentCheck(FILES)
    last = b""
    for message in read_file_messages([data], "none", limit=LIMIT):
        match message:
            case Entries():
                entries.check(message.entries)
                for entry in message.entries:
                    assert last < path_order(entry.path)
                    last = path_order(entry.path)
            case FileDigests():
                for digest in message.digests:
                    check_file_digest("f", digest)
            case Content() if not is_keep_alive(message):
                assert len(content.receive(message)) <= FILES[0].size
            case ContentFailed():
                content.fail(message)
            case Chunks():
                chunks.check(message)
            case Chunked():
                chunks.finish(message)
    return content.number


def _tsv(data: bytes) -> object:
    columns, block = (data[0] % 4 + 1, data[1:]) if data else (1, b"")
    copied = tsv.from_copy(block)
    for decode in (tsv.decode_rows, tsv.decode_keys):
        try:
            decode(block, columns)
        except SyncError:
            continue
    rows = tsv.decode_rows(copied, columns)
    assert tsv.decode_rows(tsv.encode_rows(rows), columns) == rows
    return rows


def _row_text(data: bytes) -> object:
    kinds = [_KINDS[byte % len(_KINDS)] for byte in data[:3]]
    values = [None if field == b"N" else field for field in data[3:].split(b",")]
    rows = [values[start : start + len(kinds)] for start in range(0, len(values), max(1, len(kinds)))]
    rows = [row for row in rows if kinds and len(row) == len(kinds)]
    digests = digest_rows(rows, kinds) if kinds else []
    assert digests == [row_digest(row_text(row, kinds)) for row in rows]
    return digests


def _bounds(data: bytes) -> object:
    kind = (
        LogicalType(kind=_KINDS[data[0] % len(_KINDS)], scale=data[0] // len(_KINDS) % 8) if data else LogicalType(kind=_KINDS[0])
    )
    return canonical_bound(_text(data[1:]), kind)


def _requests(data: bytes) -> object:
    kinds = (DescribeTable, DigestRows, GetRows)
    request = decode_table_request(data[1:], kinds[data[0] % 3] if data else GetRows, {"t"})  # type: ignore[type-var]
    if isinstance(request, DigestRows):
        check_requested_segments(request.segment_ranges, request.partitioning)
    return request


def _tables_request(data: bytes) -> object:
    request = decode_many_tables_request(data)
    return [with_offered_name(requested_slice, {"t"}) for requested_slice in request.table_slices]


def _snapshot_request(data: bytes) -> object:
    return decode_json(data, HoldSnapshot)


def _file_requests(data: bytes) -> object:
    kinds = (ListFiles, DigestFiles, ReadFiles, ChunkFile)
    return decode_file_request(data[1:], kinds[data[0] % 4] if data else ListFiles, {"t"})  # type: ignore[type-var]


def _configuration(data: bytes) -> object:
    model, kind = (ClientConfig, "client") if data[:1] < b"\x80" else (ServerConfig, "server")
    checked = check_text(_text(data[1:]), "client.yaml", kind)
    assert all(mistake.message for mistake in checked.mistakes)
    settings = parse_yaml(_text(data[1:]), "client.yaml")
    try:
        return model.from_dict(settings)
    except ConfigurationError:
        assert checked.mistakes
        raise


def _name(data: bytes) -> object:
    return check_name(_text(data))


def _pattern(data: bytes) -> object:
    pattern, _, path = _text(data).partition("\0")
    requested_slice = PathFilter(include=[pattern])
    return requested_slice.selects(path), requested_slice.descends(path)


def _headers(data: bytes) -> object:
    text = data.decode("latin-1")
    seconds_to_wait(text)
    choose_compression(text)
    return parse_media_type(text)


class _Answer:
    """As much of an answer as is looked at where its status is an error."""

    def __init__(self, status: int, location: str) -> None:
        self.status_code = status
        self.headers = {"Location": location}
        self.request = SimpleNamespace(headers={})


def _refusal(data: bytes) -> object:
    status = (302, 401, 404, 422, 429, 500, 206)[data[0] % 7] if data else 500
    answer = _Answer(status, data[1:].decode("latin-1"))
    error = refusal(answer, data[1:], url="http://host/getTable", subject=Subject("table", "t"))  # type: ignore[arg-type]
    assert str(error).isprintable()
    return error


def _shown(data: bytes) -> object:
    text = _text(data)
    assert printable(text).isprintable()
    assert quoted(text).isprintable()
    assert all(line.isprintable() for line in printable_lines(text).split("\n"))
    return glued_error(data)


PARSERS: dict[str, Parser] = {
    "v1_frames": _frames,
    "v1_manifest": _manifest,
    "v1_rows": _rows,
    "v1_gzip": _gzip,
    "v1_fields": _fields,
    "v2_stream": _stream,
    "v2_messages": _messages,
    "v2_file_stream": _file_stream,
    "v2_file_messages": _file_messages,
    "v2_tsv": _tsv,
    "v2_row_text": _row_text,
    "v2_bounds": _bounds,
    "v2_requests": _requests,
    "v2_tables_request": _tables_request,
    "v2_snapshot_request": _snapshot_request,
    "v2_file_requests": _file_requests,
    "configuration": _configuration,
    "name": _name,
    "pattern": _pattern,
    "headers": _headers,
    "refusal": _refusal,
    "shown": _shown,
}

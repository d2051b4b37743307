"""Valid inputs of the parsers, from which mutations begin."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence

import msgspec
from blake3 import blake3

from airflow_provider_sync.protocol.v1.frames import frame_header
from airflow_provider_sync.protocol.v2.compression import BlockCompressor
from airflow_provider_sync.protocol.v2.file_messages import (
    Chunked,
    ChunkFile,
    Chunks,
    Content,
    ContentEnd,
    ContentFailed,
    DigestFiles,
    Entries,
    FileDigest,
    FileDigests,
    FileEntry,
    FileMessage,
    Listed,
    ListFiles,
    ReadFiles,
    RequestedFile,
    Unchanged,
    UnreadableFiles,
)
from airflow_provider_sync.protocol.v2.messages import (
    ColumnDescription,
    Described,
    DescribeTables,
    DigestRows,
    HoldSnapshot,
    Message,
    RowDigests,
    Rows,
    Segments,
    SnapshotHeld,
    TableDone,
    TableFailed,
)
from airflow_provider_sync.protocol.v2.stream import (
    write_file_messages,
    write_messages,
)
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from tests.fuzz.parsers import FILES, GRID, SLICE

_DESCRIBED = Described(
    columns=(
        ColumnDescription(name="id", type=LogicalType(kind=LogicalKind.INTEGER)),
        ColumnDescription(name="v", type=LogicalType(kind=LogicalKind.TEXT)),
    ),
    key=("id",),
    rows=3,
    partitioning=GRID,
)

_MESSAGES: list[Message] = [
    _DESCRIBED,
    Segments(numbers=(0, 3), counts=(1, 2), sums=(5, 6)),
    RowDigests(count=2, keys=b"1\n2\n", digests=bytes(12)),
    Rows(count=2, data=b"1\ta\n2\t\\N\n"),
    TableDone(number=0, digested=False),
    SnapshotHeld(snapshot="a.b", seconds=1.5),
    TableFailed(number=1, status=422, message="no"),
]

_DIGEST = blake3(b"abc").digest()

_FILE_MESSAGES: list[FileMessage] = [
    Entries(
        entries=(
            FileEntry("a", "directory", mode=0o755),
            FileEntry("a/b", "file", 3, 1_700_000_000_000_000_000, 0o644, _DIGEST),
            FileEntry("a/c", "file", 3, 7, 0o644, same_as="a/b"),
            FileEntry("l", "link", link_target="a/b"),
        )
    ),
    UnreadableFiles(reasons={"d/": "Permission denied."}),
    Listed(state="x", links_skipped=1),
    Unchanged(),
    FileDigests(digests=(FileDigest(_DIGEST, 3, 7), FileDigest(None, problem="no"))),
    Content(number=0, inflated=3, data=BlockCompressor().compress(b"abc"), end=ContentEnd(_DIGEST, 0o644)),
    ContentFailed(number=1, reason="changed", message="It changed."),
    Chunks(lengths=(3,), digests=_DIGEST[:16]),
    Chunked(size=3, mtime_ns=7, digest=_DIGEST),
]


def _framed(messages: Sequence[msgspec.Struct]) -> bytes:
    frames = (msgspec.msgpack.encode(message) for message in messages)
    return b"".join(struct.pack(">I", len(frame)) + frame for frame in frames)


_REQUEST = DigestRows(table_slice=SLICE, partitioning=GRID, segment_ranges=((0, 1), (3, 3)), keys="1\n2\n")

SEEDS: dict[str, list[bytes]] = {
    "v1_frames": [frame_header("a/b", 3) + b"abc" + frame_header("c", 0), frame_header("a", 9) + b'{"message": "Server Error"}'],
    "v1_manifest": [b'{"hashes":{"a\\/b":"d41d","\\u00fc":""}}', b'{"hashes":["x","y"]}', b'{"hashes":[]}'],
    "v1_rows": [b'{"id":1,"v":"a\\/b","n":null,"f":1.5,"b":true}\n{"id":2,"v":"","n":null,"f":1e9,"b":false}\n'],
    "v1_gzip": [
        gzip.compress(b"hello" * 100),
        gzip.compress(b"a") + gzip.compress(b"b"),
        gzip.compress(b"x") + b'{"message": "x"}',
    ],
    "v1_fields": [
        b'\0{"config_name":"t","hash":"x","files":["a",{"b":1}]}',
        b"\1config_name=t&files%5B0%5D=a&files[a][b][]=c&hash=0",
        b'\2--x\r\nContent-Disposition: form-data; name="config_name"\r\n\r\nt\r\n--x--\r\n',
    ],
    "v2_stream": [
        b"\0" + b"".join(write_messages(iter(_MESSAGES), "zstd")),  # type: ignore[arg-type]
        b"\1" + b"".join(write_messages(iter(_MESSAGES), "gzip")),  # type: ignore[arg-type]
    ],
    "v2_messages": [_framed(_MESSAGES)],
    "v2_file_stream": [
        bytes([number]) + b"".join(write_file_messages([_FILE_MESSAGES], compression))
        for number, compression in enumerate(("zstd", "gzip", "none"))
    ],
    "v2_file_messages": [_framed(_FILE_MESSAGES)],
    "v2_tsv": [b"\1a\tb\n\\N\t\\\\\\t\\n\n", b"\0a\\b\\f\\v\n", b"\x001\n2\n"],
    "v2_row_text": [b"\0\3\5" + b"1,text,ab,N,N,N,-2,,"],
    "v2_bounds": [bytes([number]) + text for number in range(11) for text in (b"2024-02-29T12:00:00+02:00", b"-12.5e3", b"7")],
    "v2_requests": [bytes([number]) + msgspec.json.encode(_REQUEST) for number in range(3)]
    + [b'\0{"table_slice":{"name":" t"}}'],
    "v2_tables_request": [msgspec.json.encode(DescribeTables(table_slices=(SLICE, SLICE), max_rows=9, probes={"pghash": "0f"}))],
    "v2_snapshot_request": [msgspec.json.encode(HoldSnapshot(tables=("t", "u")))],
    "v2_file_requests": [
        b"\0" + msgspec.json.encode(ListFiles(directory="t", folder="a", state="x")),
        b"\1" + msgspec.json.encode(DigestFiles(directory="t", paths=("a", "b"))),
        b"\2"
        + msgspec.json.encode(
            ReadFiles(directory="t", files=(*FILES, RequestedFile(path="c", size=9, mtime_ns=1, ranges=((1, 2),))))
        ),
        b"\3" + msgspec.json.encode(ChunkFile(directory="t", path="a")),
    ],
    "configuration": [
        b"\0url: http://h/\ntables:\n  a: {max_deletes: 50%, window: [d, 2024-01-01, 2024-02-01]}\nconnections: {c: 'sqlite://'}\n",
        b"\0url: http://h/\nlimits: {max_rows: 5}\ndirectories: {d: &a {path: x}, e: *a}\n",
        b"\xfftokens: [a, {token: b, tables: [t]}]\ntables: {t: {}}\nconnections: {c: 'sqlite://'}\n",
    ],
    "name": [b"a/b/c", b"../x", b"/etc/passwd", b".airflow-sync-0123456789abcdef.part"],
    "pattern": [b"**/*.p?g\0a/b/c.png", b"[!a-c]x*/**\0dx/y", b"*a*b*[c]\0aabbc", b"tmp/\0tmp/x"],
    "headers": [
        b"application/vnd.airflow-sync.v2; compression=zstd",
        b"120",
        b"Sun, 29 Nov 2026 00:00:00 GMT",
        b"gzip;q=0, zstd",
    ],
    "refusal": [
        b"\0http://user:pw@host/x?q",
        b'\3{"config_name": ["Config name not in sync-server.tables"]}',
        b'\5{"message": "no"}',
    ],
    "shown": [b'x{\n    "message": "Server Error"\n}', b"\x1b[2Ja\nb\xe2\x80\xae"],
}
"""Valid inputs, from which mutations begin."""

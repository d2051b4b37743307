"""The specification of version 2 is what the server does: its examples are sent, its numbers computed."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.protocol.v1 import MAX_NAME
from airflow_provider_sync.protocol.v1.numbers import mysql_double
from airflow_provider_sync.protocol.v2.checks import MAX_SEGMENTS
from airflow_provider_sync.protocol.v2.compression import decompress
from airflow_provider_sync.protocol.v2.file_checks import MAX_PATH_BYTES
from airflow_provider_sync.protocol.v2.file_messages import MAX_CHUNKS, MAX_CONTENT_BYTES, MAX_ENTRIES, MAX_PATHS, MAX_RANGES
from airflow_provider_sync.protocol.v2.message_sets import FILE_MESSAGES, TABLE_MESSAGES
from airflow_provider_sync.protocol.v2.messages import (
    DIGEST_BYTES,
    MAX_KEYS,
    MAX_SNAPSHOT_NAME,
    MAX_SNAPSHOT_TABLES,
    MAX_TABLES,
    Partitioning,
)
from airflow_provider_sync.protocol.v2.row_text import row_digest, row_text
from airflow_provider_sync.protocol.v2.stream import media_type, parse_media_type
from airflow_provider_sync.protocol.v2.text_limit import MAX_TEXT_BYTES
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from airflow_provider_sync.server.app import MAX_KEYS_BYTES
from airflow_provider_sync.server.process.body_writer import MAX_TINY_CHUNKS, TINY_BYTES
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.server.streaming import IDLE_SECONDS
from airflow_provider_sync.server.tables.table_requests import MAX_BYTES_BESIDE_KEYS, MAX_SEGMENT_RANGES
from tests.docs.pages import PROJECT, Block, blocks, table_below
from tests.server.wire import Answer, ask, run_sqlite, send

PAGE = PROJECT / "docs" / "reference" / "protocol-v2.md"
BLOCKS = blocks(PAGE)
EXAMPLES = [(block, BLOCKS[number + 1]) for number, block in enumerate(BLOCKS) if block.note.startswith("POST")]
LIMIT = 1 << 20

KINDS = (LogicalKind.INTEGER, LogicalKind.TEXT, LogicalKind.DECIMAL, LogicalKind.TEXT, LogicalKind.DATE)
ROW_7 = (b"7", b"a|b", b"1.10", None, b"2024-02-29")
ROW_8 = (b"8", "Orléans".encode(), b"20.00", b"x\ty", None)


def block_of(language: str, note: str = "") -> Block:
    """Return the one block of this kind."""
    (block,) = [block for block in BLOCKS if (block.language, block.note) == (language, note)]
    return block


@pytest.fixture
def base(tmp_path: Path) -> Iterator[str]:
    """Serve what the page says."""
    run_sqlite(tmp_path / "shop.db", block_of("sql").text)
    subprocess.run(["sh", "-ec", block_of("sh").text], cwd=tmp_path, check=True)
    settings = block_of("yaml").text.replace("shop.db", str(tmp_path / "shop.db")).replace("path: ", f"path: {tmp_path}/")
    with RunningServer(ServerConfig.from_dict(yaml.safe_load(settings))) as server:
        yield server.url


def messages(answer: Answer) -> list[dict[str, Any]]:
    """Take a stream apart by the rules of the page alone; byte strings as the page shows them."""
    content_type = answer.headers["content-type"]
    assert content_type == "application/vnd.airflow-sync.v2; compression=zstd" == media_type("zstd")
    assert answer.headers["content-encoding"] == "identity"
    data = b"".join(decompress([answer.body], parse_media_type(content_type), limit=LIMIT))
    found: list[dict[str, Any]] = []
    at = 0
    covered = hashlib.sha256()
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        message = msgspec.msgpack.decode(data[at + 4 : end])
        if message["type"] == "end":
            assert message["digest"] == covered.hexdigest()
            assert end == len(data)
        covered.update(data[at : end - len(message["data"])] if message["type"] == "content" else data[at:end])
        found.append({name: shown(name, value) for name, value in message.items()})
        at = end
    return found


def shown(name: str, value: object) -> object:
    """Write a byte string as the page does."""
    match value:
        case bytes():
            return value.decode() if name in ("data", "keys") else value.hex()
        case list():
            return [shown("", item) for item in value]
        case _:
            return value


@pytest.mark.parametrize(("request_block", "answer_block"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples(base: str, request_block: Block, answer_block: Block) -> None:
    """Each request in the page gets the answer below it."""
    answer = ask(base, request_block.note.removeprefix("POST "), request_block.text.encode())
    expected = json.loads(answer_block.text)
    if answer_block.note == "messages":
        assert answer.status == 200
        found = messages(answer)
        for message, meant in zip(found, expected, strict=True):
            # What differs between machines is not shown, nor is the digest of a stream with it.
            message.update({name: "…" for name, value in meant.items() if value == "…" and message[name]})
        assert found == expected
    else:
        assert answer.status == int(answer_block.note)
        assert json.loads(answer.body) == expected


def test_capabilities(base: str) -> None:
    """The server's capabilities are those of the page."""
    assert json.loads(send(base, "GET", "/capabilities").body) == json.loads(block_of("json", "GET /capabilities").text)


def test_gzip_without_accept(base: str) -> None:
    """A client that names no compression gets gzip."""
    answer = send(base, "POST", "/getRows", body=b'{"table_slice": {"name": "orders"}}')
    assert answer.headers["content-type"] == media_type("gzip")


def test_row_text() -> None:
    """The example of text and digest is correct, and the sums and digests of other examples follow from it."""
    text = row_text(ROW_7, KINDS)
    assert text.decode() == block_of("text", "row text").text.removesuffix("\n")
    hexadecimal = hashlib.sha256(text).hexdigest()
    digest = int(hexadecimal[:15], 16)
    assert row_digest(text) == digest
    numbers = table_below(PAGE, "Row text and digest")
    assert numbers["SHA-256 begins with"] == [f"`{hexadecimal[:16]}`"]
    assert numbers["digest, the first 60 bits"] == [f"`{hexadecimal[:15]}`, {digest}"]
    assert numbers["on the wire, the first 48 bits"] == [f"`{hexadecimal[:12]}`"]
    both = (digest, row_digest(row_text(ROW_8, KINDS)))
    assert f'"sums": [{sum(both) % 2**64}]' in PAGE.read_text()
    wire = b"".join((value >> 60 - 8 * DIGEST_BYTES).to_bytes(DIGEST_BYTES, "big") for value in both)
    assert f'"digests": "{wire.hex()}"' in PAGE.read_text()


def test_grids() -> None:
    """Each row of the table of segments follows from the rules above it."""
    lines = PAGE.read_text().split("<!-- partitionings -->\n")[1].split("\n\n")[0].splitlines()[2:]
    for line in lines:
        scheme, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        segment_count, low, high, value, segment = map(int, cells)
        partitioning = msgspec.convert({"scheme": scheme, "segment_count": segment_count, "low": low, "high": high}, Partitioning)
        assert segment == ((value - low) // partitioning.width if scheme == "key_range" else value >> partitioning.shift), line
    assert len(lines) == 6


def test_kinds() -> None:
    """Every kind has its canonical text, and every field of a type is described."""
    kinds = table_below(PAGE, "Canonical texts")
    assert list(kinds) == [kind.value for kind in LogicalKind]
    table = PAGE.read_text().split("A type may also have these fields:")[1].split("\n\n")[1]
    fields = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert fields == [field.name for field in msgspec.structs.fields(LogicalType) if field.name != "kind"]
    assert [mysql_double(value) for value in (1.1, 1e15, 0.00001, 1e-15, 1e-16, 123456789012345.0, -0.0)] == [
        *("1.1", "1e15", "0.00001", "0.000000000000001", "1e-16", "123456789012345", "0")
    ]


def test_limits() -> None:
    """The limits are those of the program."""
    limits = {name: re.findall(r"[\d,]+\d", cells[0]) for name, cells in table_below(PAGE, "Limits").items()}
    assert limits == {
        "body of a request": [f"{MAX_KEYS_BYTES:,}", f"{MAX_BYTES_BESIDE_KEYS:,}"],
        f"chunks of less than {TINY_BYTES} bytes in the body of a request": [str(MAX_TINY_CHUNKS)],
        "keys in a request": [f"{MAX_KEYS:,}"],
        "tables in a request": [f"{MAX_TABLES:,}", f"{MAX_SNAPSHOT_TABLES:,}"],
        "name of a snapshot": [f"{MAX_SNAPSHOT_NAME:,}"],
        "files in a request": [f"{MAX_PATHS:,}"],
        "ranges of bytes in a request": [f"{MAX_RANGES:,}"],
        "ranges in segment_ranges": [f"{MAX_SEGMENT_RANGES:,}"],
        "segments of a partitioning": [f"{MAX_SEGMENTS:,}"],
        "a message": [f"{TABLE_MESSAGES.max_bytes:,}", f"{MAX_TEXT_BYTES:,}"],
        "a message about files": [f"{FILE_MESSAGES.max_bytes:,}"],
        "entries, digests, reasons or chunks in a message": [f"{MAX_ENTRIES:,}"],
        "content in a message": [f"{MAX_CONTENT_BYTES:,}"],
        "a path": [f"{MAX_PATH_BYTES:,}"],
        "a name": [str(MAX_NAME)],
    }
    assert MAX_ENTRIES == MAX_CHUNKS
    assert f"ready for {IDLE_SECONDS:g} seconds" in PAGE.read_text()

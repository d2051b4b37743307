"""Files as frames, written and read."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import FileError, IncompleteStreamError, ProtocolError
from airflow_provider_sync.protocol.v1.frames import MAX_METADATA_BYTES, frame_header, read_frames
from tests.protocol.v1 import golden_tables

_FILES = st.lists(st.tuples(st.text(min_size=1, max_size=20), st.binary(max_size=60)), max_size=4)
_ERROR = b'{\n    "message": "Server Error"\n}'


def _body(files: list[tuple[str, bytes]]) -> bytes:
    return b"".join(frame_header(path, len(content)) + content for path, content in files)


def _read(body: bytes, size: int = 1 << 16) -> list[tuple[str, bytes]]:
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return [(frame.path, b"".join(frame.chunks)) for frame in read_frames(chunks)]


def _recorded() -> list[tuple[str, bytes]]:
    entries = json.loads((golden_tables.TABLES.parent / "http.json").read_text())
    return [
        (entry["name"], base64.b64decode(entry["response"]["body_base64"]))
        for entry in entries
        if entry["name"].startswith("files_") and "body_base64" in entry["response"]
    ]


@pytest.mark.parametrize(("name", "body"), _recorded(), ids=[name for name, _ in _recorded()])
def test_recorded_frames_are_read_and_written(name: str, body: bytes) -> None:
    """The frames of an existing server are read, and writing the same files gives the same bytes."""
    if body.endswith(_ERROR):
        with pytest.raises(IncompleteStreamError, match="Server Error"):
            _read(body)
    else:
        assert _body(_read(body)) == body


@given(_FILES, st.integers(1, 40))
def test_any_files_in_any_pieces_come_back(files: list[tuple[str, bytes]], size: int) -> None:
    """For any names, contents and pieces of the body, the same files come out."""
    assert _read(_body(files), size) == files


@given(_FILES)
def test_every_truncation_within_a_frame_is_an_error(files: list[tuple[str, bytes]]) -> None:
    """A body that is cut at any place, except between two frames, is an error."""
    body = _body(files)
    borders = {len(_body(files[:count])) for count in range(len(files) + 1)}
    for end in set(range(len(body))) - borders:
        with pytest.raises(IncompleteStreamError):
            _read(body[:end], 5)


def test_content_that_is_not_read_is_skipped() -> None:
    """A caller who leaves a file unread still gets the next one."""
    frames = read_frames([_body([("a", b"x" * 999), ("b", b"y"), ("c", b"")])])
    assert [(frame.path, frame.size) for frame in frames] == [("a", 999), ("b", 1), ("c", 0)]


@pytest.mark.parametrize("files", [[], [("a", b"content")]])
@pytest.mark.parametrize("size", [1, 4096])
def test_a_glued_error_is_named(files: list[tuple[str, bytes]], size: int) -> None:
    """An error message of the server after the last frame is the user's message."""
    with pytest.raises(ProtocolError, match="Server Error"):
        _read(_body(files) + _ERROR, size)


@pytest.mark.parametrize("missing", [1, 20, 26, 28, 5000])
@pytest.mark.parametrize("size", [1, 4096])
def test_an_error_that_is_glued_into_a_file_is_named(missing: int, size: int) -> None:
    """An error message in place of content, of any length, is the user's message."""
    with pytest.raises(IncompleteStreamError, match="Server Error"):
        _read(frame_header("a", 10 + missing) + b"x" * 10 + _ERROR, size)


@pytest.mark.parametrize(
    "metadata",
    [
        b"",
        b"{}",
        b'{"file":"a"}',
        b'{"file":"a","size":"1"}',
        b'{"file":"a","size":-1}',
        b'{"file":1,"size":1}',
        b'{"file":"a","size":1.5}',
        b'{"file":"\xff","size":1}',
        b"<html></html>",
        pytest.param(b'{"file":"a","size":1,"x":' + b"[" * 60_000, id="nested"),
    ],
)
def test_metadata_of_another_shape_is_refused(metadata: bytes) -> None:
    """Metadata must have a file name and a number of bytes."""
    with pytest.raises(ProtocolError, match="metadata"):
        _read(len(metadata).to_bytes(4) + metadata + b"x")


@pytest.mark.parametrize("body", [b"<!DOCTYPE html>" + bytes(99), (MAX_METADATA_BYTES + 1).to_bytes(4), b"\xff" * 9])
def test_metadata_without_end_is_refused(body: bytes) -> None:
    """A length that is too large for a path is refused before it is read."""
    with pytest.raises(ProtocolError, match="bytes of metadata"):
        _read(body)


def test_a_name_that_is_not_text_is_refused() -> None:
    """A file whose name is not UTF-8 cannot be sent, and the error says which."""
    with pytest.raises(FileError, match="not UTF-8"):
        frame_header("a\udcff", 1)

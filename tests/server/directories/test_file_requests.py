"""Requests about directories, before anything is read for them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from airflow_provider_sync.protocol.v1.requests import InvalidRequest
from airflow_provider_sync.protocol.v2.file_messages import (
    MAX_PATHS,
    MAX_RANGES,
    ChunkFile,
    DigestFiles,
    ListFiles,
    ReadFiles,
    RequestedFile,
)
from airflow_provider_sync.server.directories.file_requests import decode_file_request

_FILE = {"path": "a", "size": 9, "mtime_ns": 1}


def _decode(kind: Any, **fields: Any) -> Any:
    return decode_file_request(msgspec.json.encode({"directory": "d", **fields}), kind, {"d"})


def _ranged(*ranges: object) -> dict[str, object]:
    return {"files": [_FILE, {**_FILE, "ranges": ranges}]}


@pytest.mark.parametrize(
    "request_",
    [
        ListFiles(directory="d"),
        ListFiles(directory="d", folder="a/b", links="keep", state="x"),
        DigestFiles(directory="d", paths=("a", "b/ü", "..."), links="follow", always=True),
        ReadFiles(
            directory="d",
            files=(
                RequestedFile(path="a", size=0, mtime_ns=-1),
                RequestedFile(path="b", size=9, mtime_ns=1, ranges=((0, 1), (1, 2), (8, 1))),
            ),
        ),
        ChunkFile(directory="d", path="a"),
    ],
)
def test_requests_are_decoded(request_: Any) -> None:
    """The server decodes what the client encodes; white space around the directory's name is ignored."""
    assert decode_file_request(msgspec.json.encode(request_), type(request_), {"d"}) == request_
    padded = msgspec.structs.replace(request_, directory=" d ")
    assert decode_file_request(msgspec.json.encode(padded), type(request_), {"d"}) == request_


@pytest.mark.parametrize(
    ("kind", "fields", "field", "text"),
    [
        (ListFiles, {"directory": "other"}, "config_name", "not in sync-server.directories"),
        (ListFiles, {"links": "all"}, "links", "Invalid enum value"),
        (ListFiles, {"folder": ""}, "folder", "is empty"),
        (ListFiles, {"folder": "a/"}, "folder", "ends in '/'"),
        (ListFiles, {"folder": "/etc"}, "folder", "is absolute"),
        (ListFiles, {"more": 1}, "body", "unknown field"),
        (DigestFiles, {"paths": ["a", "../a"]}, "paths[1]", "component"),
        (DigestFiles, {"paths": ["a", 1]}, "paths[1]", "Expected `str`"),
        (DigestFiles, {"paths": [".airflow-sync-0123456789abcdef.part"]}, "paths[0]", "temporary file"),
        (DigestFiles, {"paths": ["a"] * (MAX_PATHS + 1)}, "paths", f"{MAX_PATHS + 1} files are asked for"),
        (DigestFiles, {"paths": [""] * (6 * MAX_PATHS)}, "body", f"More than {MAX_PATHS} files"),
        (ReadFiles, {"files": [_FILE, {**_FILE, "path": "a//b"}]}, "files[1].path", "component"),
        (ReadFiles, {"files": [{**_FILE, "size": -1}]}, "files[0].size", "cannot have -1 bytes"),
        (ReadFiles, {"files": [{**_FILE, "size": 2**63}]}, "files[0].size", "cannot have"),
        (ReadFiles, {"files": [_FILE] * (MAX_PATHS + 1)}, "files", f"{MAX_PATHS + 1} files are asked for"),
        (ReadFiles, _ranged(), "files[1].ranges", "at least one range"),
        (ReadFiles, _ranged([0, 0]), "files[1].ranges", "0 bytes at 0"),
        (ReadFiles, _ranged([0, -1]), "files[1].ranges", "-1 bytes at 0"),
        (ReadFiles, _ranged([-1, 1]), "files[1].ranges", "1 bytes at -1"),
        (ReadFiles, _ranged([0, 10]), "files[1].ranges", "not in a file of 9 bytes"),
        (ReadFiles, _ranged([9, 1]), "files[1].ranges", "not in a file of 9 bytes"),
        (ReadFiles, _ranged([2**63, 2**63]), "files[1].ranges", "not in a file of 9 bytes"),
        (ReadFiles, _ranged([4, 2], [5, 1]), "files[1].ranges", "out of order"),
        (ReadFiles, _ranged([4, 2], [4, 2]), "files[1].ranges", "out of order"),
        (ReadFiles, {"files": [{**_FILE, "ranges": [[0, 1]] * (MAX_RANGES + 1)}]}, "files", f"More than {MAX_RANGES} ranges"),
        (ChunkFile, {"path": ".."}, "path", "component"),
        (ChunkFile, {"path": "a", "chunking": "fixed"}, "chunking", "'fastcdc-64k' only"),
        (ChunkFile, {}, "path", "missing required field"),
    ],
)
def test_other_requests_are_refused(kind: Any, fields: dict[str, Any], field: str, text: str) -> None:
    """Paths that lead out, ranges outside the file, and too large requests are refused with the field's name."""
    with pytest.raises(InvalidRequest) as caught:
        _decode(kind, **fields)
    ((name, (message,)),) = caught.value.errors.items()
    assert text in message
    assert name in (field, "body") if "missing" in text else name == field

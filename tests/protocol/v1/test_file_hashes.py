"""Manifests as PHP writes an array."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import FileError, ProtocolError
from airflow_provider_sync.protocol.v1.file_hashes import BLOCK_PATHS, decode_manifest, encode_hashes
from tests.protocol.v1 import golden_tables


def _encode(hashes: dict[str, str]) -> bytes:
    return b"".join(encode_hashes(hashes.items()))


def _recorded() -> list[tuple[str, str]]:
    entries = json.loads((golden_tables.TABLES.parent / "http.json").read_text())
    return [
        (entry["name"], entry["response"]["body"])
        for entry in entries
        if entry["name"].startswith("filehashes_") and entry["response"]["status"] == 200
    ]


@pytest.mark.parametrize(("name", "body"), _recorded(), ids=[name for name, _ in _recorded()])
def test_recorded_manifests_are_read_and_written(name: str, body: str) -> None:
    """The manifest of an existing server is read, and writing it gives the same bytes."""
    assert _encode(decode_manifest(body.encode()).hashes) == body.encode()


@given(st.dictionaries(st.text(), st.text()))
def test_any_manifest_comes_back(hashes: dict[str, str]) -> None:
    """For any paths and hashes, the same come out in order."""
    assert list(decode_manifest(_encode(hashes)).hashes.items()) == list(hashes.items())


@pytest.mark.parametrize("count", [0, 1, 2, BLOCK_PATHS, BLOCK_PATHS + 1, 2 * BLOCK_PATHS])
def test_manifests_of_any_length_are_whole(count: int) -> None:
    """Nothing is lost between two pieces, for numbered files and others."""
    for prefix in ("", "n"):
        hashes = {f"{prefix}{number}": "" for number in range(count)}
        assert decode_manifest(_encode(hashes)).hashes == hashes


def test_numbered_files_are_a_list() -> None:
    """Files named 0, 1, 2 are written as a list, as PHP does, and as an object as soon as one name differs."""
    assert _encode({"0": "x", "1": "y"}) == b'{"hashes":["x","y"]}'
    assert _encode({"0": "x", "1": "y", "3": "z"}) == b'{"hashes":{"0":"x","1":"y","3":"z"}}'
    assert _encode({}) == b'{"hashes":[]}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"hashes":null}',
        b'{"hashes":{"a":1}}',
        b'{"hashes":[[]]}',
        b'{"hashes":"a"}',
        b"<html>",
        b'{"hashes":["\xff"]}',
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    """Only an object or a list of strings is a manifest."""
    with pytest.raises(ProtocolError, match="not a list of files"):
        decode_manifest(body)


def test_every_truncation_is_an_error() -> None:
    """A manifest that is cut at any place is an error."""
    body = _encode({"a": "1", "b/c": "2"})
    for end in range(len(body)):
        with pytest.raises(ProtocolError):
            decode_manifest(body[:end])


def test_a_name_that_is_not_text_is_refused() -> None:
    """A file whose name is not UTF-8 cannot be listed, and the error says which."""
    with pytest.raises(FileError, match="not UTF-8"):
        _encode({"a\udcff": ""})

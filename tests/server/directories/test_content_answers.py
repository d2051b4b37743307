"""The chunks that a server of version 2 cuts files into."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from blake3 import blake3

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import ProtocolError, ServerError
from airflow_provider_sync.files.chunks import ChunkList
from airflow_provider_sync.files.storage import VersionedFile
from airflow_provider_sync.protocol.v2.file_messages import ChunkFile
from airflow_provider_sync.server.directories import content_answers
from tests.files.test_chunks import chunks_of
from tests.server.directories.served_files import Broken, make, opening, served

_TEXT = b"a line of a file\n" * 2_000


def asked(client: SyncClient, request: ChunkFile, *, size: int) -> ChunkList:
    """Ask for the chunks of a file."""
    with client.chunk_file(request, size=size) as answer:
        for _ in answer:
            pass
        return answer.chunks()


def test_chunks_are_those_of_the_file(tmp_path: Path) -> None:
    """The server's chunks are those that the client would cut; paths are relative to the folder."""
    content = os.urandom(1_000_000)
    make(tmp_path, {"a/1": content, "empty": b""})
    with served(tmp_path) as client:
        chunks = asked(client, ChunkFile(directory="d", folder="a", path="1"), size=len(content))
        empty = asked(client, ChunkFile(directory="d", path="empty"), size=0)
    assert chunks == chunks_of(content)
    assert (chunks.size, chunks.digest) == (len(content), blake3(content).digest())
    assert (empty.size, empty.digest) == (0, blake3().digest())


def test_chunks_of_what_is_no_file(tmp_path: Path) -> None:
    """A missing or not offered file is an error that names it."""
    make(tmp_path, {"a.tmp": b"x"})
    with served(tmp_path, exclude=["*.tmp"]) as client:
        for path in ("gone", "a.tmp"):
            with pytest.raises(ServerError, match=path) as caught:
                asked(client, ChunkFile(directory="d", path=path), size=1)
            assert caught.value.status == 422


@pytest.mark.parametrize(("code", "status"), [(0, 409), (errno.EIO, 422)])
def test_a_file_that_changes_has_no_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, status: int) -> None:
    """Chunks are of one version, or an error: transient after a change, permanent for a broken disk."""
    make(tmp_path, {"a": _TEXT})

    def change(opened: VersionedFile) -> VersionedFile:
        file = cast("BinaryIO", Broken(opened.file, 0, code)) if code else opened.file
        return VersionedFile(file, opened.entry, lambda: False)

    opening(monkeypatch, change)
    with served(tmp_path) as client, pytest.raises(ServerError, match="'a' in 'd'") as caught:
        asked(client, ChunkFile(directory="d", path="a"), size=len(_TEXT))
    assert caught.value.status == status


@pytest.mark.parametrize(("code", "status"), [(0, 409), (errno.EIO, 422)])
def test_a_large_file_that_changes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, status: int) -> None:
    """The chunks of a large file are sent while it is read; an error then ends them and names the file."""
    monkeypatch.setattr(content_answers, "_MESSAGE_CHUNKS", 16)
    content = os.urandom(24_000_000)
    make(tmp_path, {"a": content})

    def change(opened: VersionedFile) -> VersionedFile:
        file = cast("BinaryIO", Broken(opened.file, 20_000_000, code)) if code else opened.file
        return VersionedFile(file, opened.entry, lambda: False)

    opening(monkeypatch, change)
    with served(tmp_path) as client, client.chunk_file(ChunkFile(directory="d", path="a"), size=len(content)) as answer:
        pieces = iter(answer)
        lengths, digests = next(pieces)
        assert digests == chunks_of(content).digests[: 16 * len(lengths)]
        with pytest.raises(ServerError, match=r"the server gave up: .*'a' in 'd'") as caught:
            list(pieces)
        assert caught.value.status == status
        with pytest.raises(ProtocolError, match="The chunks of 'a' are incomplete"):
            answer.chunks()

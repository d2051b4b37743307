"""The server of version 2 with its cache: what it has read once, for whatever reason, it knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.files.chunks import ChunkList, FileChunks
from airflow_provider_sync.files.storage import VersionedFile
from airflow_provider_sync.protocol.v2.file_messages import MAX_CONTENT_BYTES, ChunkFile, DigestFiles, FileEntry, ListFiles
from airflow_provider_sync.server.directories import content_answers, content_messages, listing_answers
from tests.server.directories.served_files import listing, make, read, requested, served

_TREE = {"a/1": b"one", "a/2": b"two", "large": b"x" * (MAX_CONTENT_BYTES + 1), "z": b"three"}
_DIGESTS = {path: blake3(content).digest() for path, content in _TREE.items()}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the files that the server reads for their digests or chunks."""
    done: list[str] = []
    digest_file, cutting = listing_answers.digest_file, content_answers.FileChunks

    def digest_and_note(opened: VersionedFile, *arguments: Any, **options: Any) -> bytes:
        done.append(opened.entry.path)
        return digest_file(opened, *arguments, **options)

    def cut_and_note(*arguments: Any, **options: Any) -> FileChunks:
        done.append("chunks")
        return cutting(*arguments, **options)

    monkeypatch.setattr(listing_answers, "digest_file", digest_and_note)
    monkeypatch.setattr(content_answers, "FileChunks", cut_and_note)
    return done


def digests(entries: dict[str, FileEntry]) -> dict[str, bytes | None]:
    """The digests of the files of a listing."""
    return {path: entry.digest for path, entry in entries.items() if entry.kind == "file"}


def chunks(client: SyncClient) -> ChunkList:
    """Ask for the chunks of the large file."""
    with client.chunk_file(ChunkFile(directory="d", path="large"), size=len(_TREE["large"])) as answer:
        for _ in answer:
            pass
        return answer.chunks()


def digest(client: SyncClient, *paths: str, always: bool = False, folder: str | None = None) -> list[bytes | None]:
    """Ask for digests."""
    with client.digest_files(DigestFiles(directory="d", paths=paths, always=always, folder=folder)) as answer:
        return [found.digest for _, found in answer]


def test_digests_are_read_once(tmp_path: Path, reads: list[str]) -> None:
    """Digests are known to later requests, until a file changes or the client asks to read all files again."""
    make(tmp_path, _TREE)
    with served(tmp_path) as client:
        assert set(digests(listing(client)).values()) == {None}
        assert digest(client, *_TREE) == list(_DIGESTS.values())
        assert sorted(reads) == sorted(_TREE)
        assert digests(listing(client)) == _DIGESTS
        assert digest(client, "1", folder="a") == [_DIGESTS["a/1"]]
        assert digests(listing(client, folder="a")) == {"1": _DIGESTS["a/1"], "2": _DIGESTS["a/2"]}
        assert digests(listing(client)) == _DIGESTS
        assert len(reads) == len(_TREE)
        make(tmp_path, {"new": b"ONE"})
        (tmp_path / "new").rename(tmp_path / "a/1")
        assert digests(listing(client)) == {**_DIGESTS, "a/1": None}
        assert digest(client, "a/1", "z") == [blake3(b"ONE").digest(), _DIGESTS["z"]]
        assert reads[len(_TREE) :] == ["a/1"]
        assert digest(client, "z", always=True) == [_DIGESTS["z"]]
        assert reads[len(_TREE) :] == ["a/1", "z"]


def test_a_state_that_does_not_hold_has_digests_too(tmp_path: Path) -> None:
    """If the state has changed, the listing has the known digests."""
    make(tmp_path, _TREE)
    with served(tmp_path) as client:
        digest(client, *_TREE)
        with client.list_files(ListFiles(directory="d", state="another")) as answer:
            found = {entry.path: entry for entries in answer for entry in entries}
    assert digests(found) == _DIGESTS


def test_files_that_were_sent_are_known(tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest of a file is known after it was sent whole, but not after ranges were sent."""
    make(tmp_path, _TREE)
    monkeypatch.setattr(content_messages, "RECORDED", 2)
    with served(tmp_path) as client:
        entries = listing(client)
        read(client, *(requested(entries[path]) for path in ("a/1", "a/2", "large")), requested(entries["z"], (0, 2)))
        assert digests(listing(client)) == {**_DIGESTS, "z": None}
    assert reads == []


def test_chunks_are_made_once(tmp_path: Path, reads: list[str]) -> None:
    """The chunks of a file, and its digest, are known until it changes."""
    make(tmp_path, _TREE)
    with served(tmp_path) as client:
        first = chunks(client)
        assert chunks(client) == first
        assert reads == ["chunks"]
        assert digests(listing(client))["large"] == _DIGESTS["large"]
        make(tmp_path, {"large": b"y"})
        assert chunks(client) != first


def test_without_hasher_nothing_is_known(tmp_path: Path) -> None:
    """A server with the hasher ``none`` sends no digests, not even of files that it has sent."""
    make(tmp_path, {"z": b"three"})
    with served(tmp_path, hasher="none") as client:
        read(client, requested(listing(client)["z"]))
        assert digests(listing(client)) == {"z": None}


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x" * 9000)])
def test_a_cache_that_goes_away(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], object]
) -> None:
    """If the cache is lost or damaged while the server runs, files are read again, and no answer fails."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    make(tmp_path / "root", {"z": b"three"})
    with served(tmp_path / "root") as client:
        digest(client, "z")
        spoil(tmp_path / "caches" / "airflow-provider-sync" / "digests.sqlite")
        for _ in range(2):
            assert digest(client, "z") == [_DIGESTS["z"]]
            assert list(listing(client)) == ["z"]
    assert set(reads) == {"z"}

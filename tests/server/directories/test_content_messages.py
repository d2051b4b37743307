"""What a server of version 2 sends of files."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from threading import current_thread
from typing import Any, BinaryIO, cast
from uuid import uuid4

import fsspec
import pytest
from blake3 import blake3

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import ServerError
from airflow_provider_sync.files.objects.object_storage import ObjectStorage
from airflow_provider_sync.files.storage import VersionedFile
from airflow_provider_sync.protocol.v2.compression import CONTENT_COMPRESSIONS
from airflow_provider_sync.protocol.v2.file_messages import (
    MAX_CONTENT_BYTES,
    Content,
    ContentFailed,
    FileMessage,
    ReadFiles,
    RequestedFile,
)
from airflow_provider_sync.protocol.v2.stream import accept, parse_media_type, read_file_messages
from airflow_provider_sync.server.directories import content_messages
from tests.server.directories.served_files import OLD_NS, Broken, listing, make, opening, read, requested, served, serving
from tests.server.wire import ask_for

_TEXT = b"".join(b"line %d of a file that compresses well\n" % number for number in range(2_000))


def _requested(path: str, size: int, *ranges: tuple[int, int]) -> RequestedFile:
    return RequestedFile(path=path, size=size, mtime_ns=OLD_NS, ranges=ranges or None)


def _messages(url: str, *files: RequestedFile, compression: str = "none") -> list[FileMessage]:
    """Return what is on the wire."""
    answer = ask_for(url, "/readFiles", ReadFiles(directory="d", files=files), accept=accept([compression]))
    assert answer.headers["content-type"].endswith(f"; compression={compression}")
    return list(
        read_file_messages([answer.body], parse_media_type(answer.headers["content-type"], CONTENT_COMPRESSIONS), limit=1 << 30)
    )


def test_files_arrive_as_they_are(tmp_path: Path) -> None:
    """Empty, small and large files, compressible or not, arrive in the order of the request."""
    files = {
        "empty": b"",
        "small": b"x",
        "text": _TEXT,
        "random": os.urandom(70_000),
        "block": os.urandom(MAX_CONTENT_BYTES),
        "large": os.urandom(2 * MAX_CONTENT_BYTES + 5),
        "large text": _TEXT * 60,
        **{f"many/{number}": os.urandom(number) for number in range(200)},
    }
    make(tmp_path, files)
    with served(tmp_path) as client:
        entries = [entry for entry in listing(client).values() if entry.kind == "file"]
        entries.reverse()
        assert read(client, *map(requested, entries)) == [files[entry.path] for entry in entries]


def test_many_pieces_make_one_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With any sizes of pieces and of digest records, all files arrive."""
    files = {f"{number:02}": os.urandom(number) for number in range(40)}
    make(tmp_path, files)
    monkeypatch.setattr(content_messages, "GROUP_BYTES", 100)
    monkeypatch.setattr(content_messages, "RECORDED", 3)
    with served(tmp_path) as client:
        assert read(client, *map(requested, listing(client).values())) == list(files.values())
        assert all(entry.digest == blake3(files[entry.path]).digest() for entry in listing(client).values())


def test_small_files_share_a_piece_and_large_ones_are_cut(tmp_path: Path) -> None:
    """A small file is one message with digest and mode; a large one is several, the last with its digest."""
    large = os.urandom(2 * MAX_CONTENT_BYTES)
    make(tmp_path, {"a": b"one", "b": large})
    (tmp_path / "a").chmod(0o640)
    with serving(tmp_path) as url:
        small, first, second = _messages(url, _requested("a", 3), _requested("b", len(large)))
    assert isinstance(small, Content)
    assert small.end is not None
    assert (small.data, small.end.digest, small.end.mode) == (b"one", blake3(b"one").digest(), 0o640)
    assert isinstance(first, Content)
    assert isinstance(second, Content)
    assert (first.end, len(first.data)) == (None, MAX_CONTENT_BYTES)
    assert second.end is not None
    assert second.end.digest == blake3(large).digest()


def test_what_compresses_is_compressed(tmp_path: Path) -> None:
    """A file is sent compressed if its first block shrinks and its name is not that of a compressed format."""
    late = os.urandom(MAX_CONTENT_BYTES) + _TEXT
    early = _TEXT * 14 + os.urandom(2 * MAX_CONTENT_BYTES)
    make(tmp_path, {"a.txt": _TEXT, "b.JPG": _TEXT, "c": os.urandom(9_000), "d": b"x" * 100, "late": late, "early": early})
    names = ("a.txt", "b.JPG", "c", "d", "late", "early")
    with serving(tmp_path) as url:
        found = _messages(url, *(_requested(name, (tmp_path / name).stat().st_size) for name in names))
    inflated: dict[str, list[bool]] = {name: [] for name in names}
    for message in found:
        assert isinstance(message, Content)
        inflated[names[message.number]].append(message.inflated > 0)
        assert not message.inflated or len(message.data) < 0.9 * message.inflated
    assert inflated["a.txt"] == [True]
    assert inflated["b.JPG"] == inflated["c"] == inflated["d"] == [False]
    assert inflated["late"] == [False, False]
    assert inflated["early"][0] is True
    assert not any(inflated["early"][1:])


@pytest.mark.parametrize("compression", CONTENT_COMPRESSIONS)
def test_a_client_says_what_it_reads(tmp_path: Path, compression: str) -> None:
    """Only a client that names it gets streams without compression."""
    make(tmp_path, {"a": _TEXT})
    with serving(tmp_path) as url:
        (message,) = _messages(url, _requested("a", len(_TEXT)), compression=compression)
    assert isinstance(message, Content)
    assert message.inflated == len(_TEXT)


def test_ranges(tmp_path: Path) -> None:
    """Only the requested ranges are sent, with the digest of their bytes."""
    content = os.urandom(3 * MAX_CONTENT_BYTES)
    make(tmp_path, {"a": content, "b": _TEXT})
    ranges = ((0, 5), (7, MAX_CONTENT_BYTES + 3), (len(content) - 4, 4))
    with served(tmp_path) as client:
        received = read(client, _requested("a", len(content), *ranges), _requested("b", len(_TEXT), (100, 50_000)))
    assert received == [b"".join(content[start : start + length] for start, length in ranges), _TEXT[100:50_100]]


def test_a_folder_and_links(tmp_path: Path) -> None:
    """Paths are relative to the folder; links are followed on request, but never out of the directory."""
    make(tmp_path / "root", {"a/1": b"one"})
    make(tmp_path, {"secret": b"no!"})
    (tmp_path / "root/in").symlink_to("a/1")
    (tmp_path / "root/out").symlink_to(tmp_path / "secret")
    with served(tmp_path / "root") as client:
        assert read(client, _requested("1", 3), folder="a") == [b"one"]
        inside, outside = read(client, _requested("in", 3), _requested("out", 3), links="follow")
        assert inside == b"one"
        assert isinstance(outside, ContentFailed)
        for refused in read(client, _requested("in", 3), _requested("out", 3)):
            assert isinstance(refused, ContentFailed)
            assert refused.reason == "unreadable"


def test_a_file_that_cannot_be_sent_is_told_and_the_others_come(tmp_path: Path) -> None:
    """A missing, changed, not offered or non-regular file fails in its place, and the others are sent."""
    make(tmp_path, {"a": b"one", "b": b"two", "c": b"three", "d.tmp": b"", "z": b"last"})
    (tmp_path / "folder").mkdir()
    asked = {
        "a": _requested("a", 3),
        "gone": _requested("gone", 3),
        "size": _requested("b", 4),
        "time": RequestedFile(path="b", size=3, mtime_ns=OLD_NS + 1),
        "range": RequestedFile(path="c", size=6, mtime_ns=OLD_NS, ranges=((0, 2),)),
        "excluded": _requested("d.tmp", 0),
        "folder": _requested("folder", 0),
        "below a file": _requested("a/b", 0),
        "z": _requested("z", 4),
    }
    with served(tmp_path, exclude=["*.tmp"]) as client:
        received = dict(zip(asked, read(client, *asked.values()), strict=True))
    assert (received.pop("a"), received.pop("z")) == (b"one", b"last")
    reasons = {name: failed.reason for name, failed in received.items() if isinstance(failed, ContentFailed)}
    assert reasons == {
        "gone": "gone",
        "size": "changed",
        "time": "changed",
        "range": "changed",
        "excluded": "gone",
        "folder": "unreadable",
        "below a file": "unreadable",
    }
    for name, failed in received.items():
        assert isinstance(failed, ContentFailed)
        assert repr(asked[name].path) in failed.message
        assert "'d'" in failed.message
        assert str(tmp_path) not in failed.message


def test_many_failures_share_a_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures of missing files are sent together, in the order of the request: each by itself costs a change of threads."""
    make(tmp_path, {"a": b"one", "z": b"last"})
    names = ["a", *(f"gone {number}" for number in range(1_500)), "z"]
    taken: list[int] = []
    take = content_messages.ContentMessages._take

    def counted(messages: content_messages.ContentMessages) -> Any:
        taken.append(messages._framed.messages)
        return take(messages)

    monkeypatch.setattr(content_messages.ContentMessages, "_take", counted)
    with served(tmp_path) as client:
        received = read(client, *(_requested(name, 4 if name == "z" else 3) for name in names))
    assert (received[0], received[-1]) == (b"one", b"last")
    assert all(isinstance(failed, ContentFailed) and failed.reason == "gone" for failed in received[1:-1])
    assert (sum(taken), len(taken)) == (len(names), 2)


_SIZES = pytest.mark.parametrize("size", [3, 2 * MAX_CONTENT_BYTES + 1])


@_SIZES
def test_a_file_that_changes_while_it_is_read_has_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A file that changes while it is read has no end message, and the next file is sent."""
    make(tmp_path, {"a": bytes(size), "b": b"two"})
    opening(
        monkeypatch,
        lambda opened: VersionedFile(opened.file, opened.entry, lambda: False) if opened.entry.path == "a" else opened,
    )
    with served(tmp_path) as client:
        failed, following = read(client, _requested("a", size), _requested("b", 3))
    assert isinstance(failed, ContentFailed)
    assert failed.reason == "changed"
    assert following == b"two"


@_SIZES
@pytest.mark.parametrize(("code", "reason"), [(0, "changed"), (errno.EACCES, "unreadable")])
def test_a_file_that_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, code: int, reason: str) -> None:
    """A file that becomes shorter or unreadable while it is read fails alone."""
    make(tmp_path, {"a": bytes(size), "b": b"two"})

    def cut(opened: VersionedFile) -> VersionedFile:
        if opened.entry.path != "a":
            return opened
        return VersionedFile(cast("BinaryIO", Broken(opened.file, size - 3, code)), opened.entry, opened.is_unchanged)

    opening(monkeypatch, cut)
    with served(tmp_path) as client:
        failed, following = read(client, _requested("a", size), _requested("b", 3))
    assert isinstance(failed, ContentFailed)
    assert failed.reason == reason
    assert following == b"two"


@_SIZES
def test_a_broken_disk_ends_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """An error that is not about a single file ends the whole answer, and names the file at which it occurred."""
    make(tmp_path, {"a": bytes(size)})

    def breaking(opened: VersionedFile) -> VersionedFile:
        file = cast("BinaryIO", Broken(opened.file, size - 3, errno.EIO))
        return VersionedFile(file, opened.entry, opened.is_unchanged)

    opening(monkeypatch, breaking)
    with served(tmp_path) as client, pytest.raises(ServerError, match="Cannot read 'a' in 'd': Input/output error"):
        read(client, _requested("a", size))


def test_objects_are_read_several_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small objects are read while others are sent; all arrive in the order of the request."""
    store = fsspec.filesystem("memory")
    files = {f"{number:03}": os.urandom(number) for number in range(60)}
    files |= {"020 large": os.urandom(MAX_CONTENT_BYTES + 1), "040 text": _TEXT}
    root = f"/{uuid4()}"
    for path, content in files.items():
        store.pipe_file(f"{root}/{path}", content)
    threads: set[str] = set()
    open_version = ObjectStorage.open_version

    def open_and_note(self: ObjectStorage, path: str, **options: Any) -> VersionedFile:
        threads.add(current_thread().name)
        return open_version(self, path, **options)

    monkeypatch.setattr(ObjectStorage, "open_version", open_and_note)
    try:
        with serving(f"memory:/{root}") as url, SyncClient(url, retries=0) as client:
            entries = list(listing(client).values())
            wanted = [requested(entry) for entry in entries]
            wanted[30] = RequestedFile(path="gone", size=1, mtime_ns=0)
            wanted[50] = requested(entries[50], (5, 7))
            received = read(client, *wanted)
    finally:
        store.rm(root, recursive=True)
    expected: list[bytes] = [files[entry.path] for entry in entries]
    expected[50] = expected[50][5:12]
    failed = received.pop(30)
    assert isinstance(failed, ContentFailed)
    assert failed.reason == "gone"
    assert received == expected[:30] + expected[31:]
    assert len([name for name in threads if name.startswith("sync-read")]) > 1

"""Changed large files: both sides at work at the same time, while either version changes and answers are cut."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest

from airflow_provider_sync.client.file_streams import ChunksAnswer
from airflow_provider_sync.exceptions import FileError, IncompleteStreamError, ServerError, SyncFailed
from airflow_provider_sync.files import chunk_matching, chunks
from airflow_provider_sync.files.chunks import ChunkPiece
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.server.directories import content_answers
from airflow_provider_sync.sync import attempts
from airflow_provider_sync.sync.directories.version2 import changed_file, large_files
from tests.sync.directories.disturbed import sync_with
from tests.sync.directories.mirror import Mirror, everything
from tests.sync.directories.version2.test_large_files import put, source, target

SIZE = 6_000_000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a megabyte be large, and its chunks come in many messages, also where the server knows them from an earlier request."""
    monkeypatch.setattr(large_files, "LARGE_BYTES", 1_000_000)
    monkeypatch.setattr(content_answers, "_MESSAGE_CHUNKS", 5)
    monkeypatch.setattr(content_answers, "MAX_CHUNKS", 5)
    monkeypatch.setattr(chunks, "_BLOCK_BYTES", 512 * 1024)
    monkeypatch.setattr(attempts.random, "uniform", lambda low, high: 0)


@pytest.fixture
def folders(folders_of_version2: Mirror) -> Mirror:
    """Give a large file that both sides have, and of which three stretches changed at the source; the target knows no chunks."""
    put(folders_of_version2, random.Random(1).randbytes(SIZE))
    assert folders_of_version2.sync().files_added == 1
    content = source(folders_of_version2)
    new = random.Random(2).randbytes(50_000)
    put(folders_of_version2, b"x" + content[:3_000_000] + new + content[3_050_000:-9] + new, seconds=1)
    folders_of_version2.cache = None
    return folders_of_version2


def on_chunks(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], object]) -> None:
    """Let something happen before each piece of a list of chunks is handed on, by its number."""
    original = ChunksAnswer.__iter__

    def disturbed(answer: ChunksAnswer) -> Iterator[ChunkPiece]:
        for number, piece in enumerate(original(answer)):
            act(number)
            yield piece

    monkeypatch.setattr(ChunksAnswer, "__iter__", disturbed)


def check(mirror: Mirror, **sync: Any) -> None:
    """Sync, and check that the target has the source's version, of which little was fetched."""
    report = sync_with(mirror, **sync)
    assert (report.files_updated, report.verified, report.warnings) == (1, "digest", ())
    assert report.bytes_received < SIZE / 4
    assert target(mirror).read_bytes() == source(mirror)
    assert everything(target(mirror).parent) == ["large"]


@pytest.mark.parametrize("shares", [False, True])
def test_only_what_changed_is_fetched(folders: Mirror, shares: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file with an insertion, a replaced stretch and appended bytes, only these are fetched, also with shared blocks."""
    monkeypatch.setattr("airflow_provider_sync.files.local.new_file.shares_blocks", lambda descriptor: shares)
    check(folders)


def test_comparing_and_fetching_begin_before_the_list_ends(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content is requested while the source is still cutting the file."""
    asked, waited = Event(), Event()

    def wait(number: int) -> None:
        if number == 8:
            assert asked.wait(60)
            waited.set()

    on_chunks(monkeypatch, wait)
    check(folders, before_read=lambda paths: asked.set())
    assert waited.is_set()


def test_a_list_that_is_cut_is_asked_for_again(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a truncated list of chunks, written content stays, and the list is requested again."""
    cuts = [IncompleteStreamError("The connection broke."), ServerError("The file changed.", 503)]

    def cut(number: int) -> None:
        if number == 6 and cuts:
            raise cuts.pop()

    on_chunks(monkeypatch, cut)
    check(folders, retries=2)
    assert cuts == []


def test_content_that_is_cut_is_asked_for_again(folders: Mirror) -> None:
    """After a cut, the content of a changed stretch is continued."""
    cuts = [IncompleteStreamError("The connection broke.")]

    def cut(path: str) -> None:
        if cuts:
            raise cuts.pop()

    check(folders, retries=1, on_message=cut)


def test_a_list_that_stays_cut_ends_the_sync(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without retries left, the sync ends with a transient error and the old version; the next sync continues."""
    old = target(folders).read_bytes()

    def cut(number: int) -> None:
        if number == 6:
            raise IncompleteStreamError("The connection broke.")

    with monkeypatch.context() as patched:
        on_chunks(patched, cut)
        with pytest.raises(SyncFailed, match="The connection broke") as failure:
            sync_with(folders)
    assert failure.value.retryable
    assert target(folders).read_bytes() == old
    check(folders)


def test_a_server_that_tells_no_chunks(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a server stops sending the list of chunks, the whole file is fetched; written content is checked by its digest."""

    def refuse(number: int) -> None:
        if number == 6:
            raise ServerError("It cuts no files.", 422)

    on_chunks(monkeypatch, refuse)
    report = sync_with(folders)
    assert (report.files_updated, report.verified) == (1, "digest")
    assert target(folders).read_bytes() == source(folders)


def damage(mirror: Mirror, offset: int) -> None:
    """Change bytes of the target's version."""
    with target(mirror).open("r+b") as file:
        file.seek(offset)
        file.write(b"damaged")


@pytest.mark.parametrize("offset", [100, 2_000_000, SIZE - 10])
def test_a_target_that_changes_meanwhile(folders: Mirror, offset: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """If any byte of the old version changes during the comparison, the new version is still the source's."""
    on_chunks(monkeypatch, lambda number: damage(folders, offset) if number == 4 else None)
    report = sync_with(folders)
    assert (report.files_updated, report.verified) == (1, "digest")
    assert target(folders).read_bytes() == source(folders)


def test_a_target_that_changes_between_comparing_and_copying(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """If bytes that are read a second time have changed, the file is compared once more."""
    monkeypatch.setattr("airflow_provider_sync.files.stretches_ahead._BUFFERS", 0)
    monkeypatch.setattr("airflow_provider_sync.files.stretches_ahead.StretchesAhead.take", lambda self: None)
    original = large_files.LargeFiles._create
    damages = [2_000_000]

    def damaged_copy(self: Any, entry: Any) -> Any:
        new = original(self, entry)
        copy_range = new.copy_range

        def damage_and_copy(path: str, offset: int, *arguments: Any) -> None:
            if damages and offset >= damages[0]:
                damages.pop()
                damage(folders, offset)
            copy_range(path, offset, *arguments)

        new.copy_range = damage_and_copy
        return new

    monkeypatch.setattr(large_files.LargeFiles, "_create", damaged_copy)
    check(folders)
    assert damages == []


def test_a_server_that_answers_one_request_at_once(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is too busy with the list to send content is asked again after the list."""
    refused, ended = Event(), Event()

    def wait(number: int) -> None:
        if number == 8:
            assert refused.wait(60)
            ended.set()

    def busy(paths: list[str]) -> None:
        if not ended.is_set():
            refused.set()
            raise ServerError("It is busy.", 503)

    on_chunks(monkeypatch, wait)
    check(folders, before_read=busy)
    assert refused.is_set()


@pytest.mark.parametrize("trouble", ["open", "read"])
def test_a_target_that_cannot_be_read(folders: Mirror, trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target's file that cannot be opened or read is replaced as a whole."""

    def fails(*_: object, **__: object) -> Any:
        raise FileError("It is locked.")

    if trouble == "open":
        monkeypatch.setattr(LocalStorage, "open_version", fails)
    else:
        monkeypatch.setattr(chunk_matching.ChunkMatching, "_read", lambda self, place, block: self._uncut.clear())
    report = sync_with(folders)
    assert (report.files_updated, report.verified) == (1, "digest")
    assert report.bytes_received > SIZE
    assert target(folders).read_bytes() == source(folders)


@pytest.mark.parametrize("more", [b"", b"grown while it was cut"])
def test_a_list_of_another_version(folders: Mirror, more: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that became longer or shorter since it was listed is requested again in its current version."""
    original = changed_file.ChangedFile.write
    changes = [source(folders)[:-5] + more]

    def change_and_write(self: changed_file.ChangedFile, *arguments: Any) -> Any:
        if changes:
            put(folders, changes.pop(), seconds=2)
        return original(self, *arguments)

    monkeypatch.setattr(changed_file.ChangedFile, "write", change_and_write)
    check(folders)


def test_chunks_that_lie(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose list of chunks is wrong gets its name only if it has the announced digest."""
    old = target(folders).read_bytes()
    finish = content_answers.FileChunks.finish

    def lie(self: Any) -> Any:
        found = finish(self)
        return type(found)(found.lengths, found.digests, os.urandom(32))

    monkeypatch.setattr(content_answers.FileChunks, "finish", lie)
    with pytest.raises(SyncFailed, match="'large' of 'd' changed each of the 3 times"):
        sync_with(folders)
    assert target(folders).read_bytes() == old
    assert everything(target(folders).parent) == ["large"]

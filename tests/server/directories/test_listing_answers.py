"""What a server of version 2 tells about a directory: its listing, and digests."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from blake3 import blake3

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import ServerError
from airflow_provider_sync.files.local.reading import LocalOpener
from airflow_provider_sync.files.storage import VersionedFile
from airflow_provider_sync.protocol.v2.file_messages import DigestFiles, FileDigest, FileEntry, Links, ListFiles
from airflow_provider_sync.server.directories import listing_answers, served_directory
from tests.server.directories.served_files import OLD_NS, Broken, listing, make, opening, served

_TREE = {"a/b/1": b"one", "a/b!": b"", "a/2": b"two", "ü": b"three", ".hidden": b"4"}


def test_everything_is_listed_in_the_order_of_paths(tmp_path: Path) -> None:
    """Files have size, time and mode; directories, also empty ones, come before their content."""
    make(tmp_path, _TREE)
    (tmp_path / "empty").mkdir(mode=0o700)
    (tmp_path / "a/2").chmod(0o640)
    with served(tmp_path) as client:
        entries = listing(client)
    assert list(entries) == [".hidden", "a", "a/2", "a/b", "a/b/1", "a/b!", "empty", "ü"]
    assert entries["a/2"] == FileEntry("a/2", "file", 3, OLD_NS, 0o640)
    assert (entries["empty"].kind, entries["empty"].mode, entries["empty"].size) == ("directory", 0o700, 0)


def test_many_messages_make_one_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entries are the same in any number of messages, with and without a state to compare."""
    make(tmp_path, {f"{number % 3}/{number:02}": b"x" for number in range(20)})
    with served(tmp_path) as client:
        whole = listing(client)
        monkeypatch.setattr(listing_answers, "MESSAGE_ENTRIES", 4)
        assert listing(client) == whole
        with client.list_files(ListFiles(directory="d", state="another")) as answer:
            assert [len(entries) for entries in answer] == [4, 4, 4, 4, 4, 3]


def test_an_unchanged_directory_is_one_short_answer(tmp_path: Path) -> None:
    """For an unchanged state, the answer has less than a kilobyte; any change is listed."""
    make(tmp_path, {f"{number}": b"x" for number in range(200)})
    with served(tmp_path) as client:
        with client.list_files(ListFiles(directory="d")) as first:
            assert len([entry for entries in first for entry in entries]) == 200
        assert first.state is not None
        before = client.traffic.bytes_received
        with client.list_files(ListFiles(directory="d", state=first.state)) as second:
            assert second.unchanged
            assert second.state == first.state
            assert list(second) == []
        assert client.traffic.bytes_received - before < 300
        (tmp_path / "7").chmod(0o600)
        with client.list_files(ListFiles(directory="d", state=first.state)) as third:
            assert not third.unchanged
            assert len([entry for entries in third for entry in entries]) == 200
        assert third.state not in (None, first.state)


def test_a_file_of_this_moment_leaves_no_state(tmp_path: Path) -> None:
    """If a file has changed so recently that another change could be missed, the listing has no state."""
    make(tmp_path, _TREE)
    (tmp_path / "now").write_bytes(b"")
    with served(tmp_path) as client, client.list_files(ListFiles(directory="d")) as answer:
        assert any(entry.path == "now" for entries in answer for entry in entries)
    assert answer.state is None


def test_a_folder_is_listed_by_itself(tmp_path: Path) -> None:
    """Paths are relative to the folder, and its neighbours are not listed."""
    make(tmp_path, {"a/b/1": b"", "a/b/c/2": b"", "a/b2": b"", "a/c/3": b"", "b/1": b""})
    with served(tmp_path, exclude=["**/2"]) as client:
        assert list(listing(client, folder="a/b")) == ["1", "c"]
        assert list(listing(client, folder="a")) == ["b", "b/1", "b/c", "b2", "c", "c/3"]


@pytest.mark.parametrize("folder", ["none", "a/none", "closed", "file/x", "link"])
def test_a_folder_that_is_not_there_is_empty(tmp_path: Path, folder: str) -> None:
    """A missing folder is an empty listing, as with version 1, so that clients can wait for it."""
    make(tmp_path, {"a/1": b"", "file": b"", "closed/1": b"", "closed2": b""})
    (tmp_path / "link").symlink_to("a")
    with served(tmp_path, exclude=["closed/"]) as client:
        assert listing(client, folder=folder) == {}


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    """A prefix that names a file is an error that says so."""
    make(tmp_path, {"file": b""})
    with served(tmp_path) as client, pytest.raises(ServerError, match="'file' in 'd' is not a folder") as caught:
        listing(client, folder="file")
    assert caught.value.status == 422


@pytest.mark.parametrize("options", [{"exclude": ["**/file"]}, {"include": ["a/**"]}], ids=["exclude", "include"])
@pytest.mark.parametrize("links", ["skip", "keep", "follow"])
def test_a_file_that_is_not_offered_in_the_place_of_the_folder(tmp_path: Path, options: dict[str, Any], links: Links) -> None:
    """A prefix that names a file or a link that is not offered gets the answer to one that names nothing."""
    make(tmp_path, {"a/1": b"", "b/file": b""})
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "file").symlink_to("../a/1")
    with served(tmp_path, **options) as client:
        for folder in ("b/file", "c/file", "b/none"):
            assert listing(client, folder=folder, links=links) == {}


@pytest.mark.parametrize("folder", ["out", "out/x", "circle", "circle/x", "nowhere", "a/above/x"])
def test_a_link_that_cannot_be_followed_in_the_place_of_the_folder_is_an_error(tmp_path: Path, folder: str) -> None:
    """A prefix at or below a bad link is the client's error, and the message says so."""
    make(tmp_path / "root", {"a/1": b""})
    for link, target in (("out", tmp_path), ("circle", "circle"), ("nowhere", "none"), ("a/above", "../..")):
        (tmp_path / "root" / link).symlink_to(target)
    with served(tmp_path / "root") as client, pytest.raises(ServerError, match=r"cannot be followed: .* Remove it") as caught:
        listing(client, folder=folder, links="follow")
    assert caught.value.status == 422


def test_only_what_is_offered_is_listed(tmp_path: Path) -> None:
    """Files that the configuration excludes are neither listed nor digested."""
    make(tmp_path, {"a.png": b"", "a.txt": b"", "b/a.png": b"", "tmp/a.png": b""})
    with served(tmp_path, include=["**/*.png"], exclude=["tmp/**"]) as client:
        assert list(listing(client)) == ["a.png", "b/a.png"]
        with client.digest_files(DigestFiles(directory="d", paths=("a.txt", "tmp/a.png", "a.png"))) as answer:
            assert [found.digest is None for _, found in answer] == [True, True, False]


def test_links(tmp_path: Path) -> None:
    """Links are left out and counted, listed as links, or followed inside the directory, as requested."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    make(root, {"a/1": b"one"})
    make(outside, {"secret": b"no"})
    (root / "in").symlink_to("a/1")
    (root / "out").symlink_to(outside / "secret")
    with served(root) as client:
        for links, expected, skipped in (("skip", ["a", "a/1"], 2), ("keep", ["a", "a/1", "in"], 1)):
            with client.list_files(ListFiles(directory="d", links=links)) as answer:  # type: ignore[arg-type]
                assert [entry.path for entries in answer for entry in entries] == expected
            assert answer.links_skipped == skipped
        assert listing(client, links="keep")["in"].link_target == "a/1"
        with client.list_files(ListFiles(directory="d", links="follow")) as answer:
            assert [(entry.path, entry.size) for entries in answer for entry in entries if entry.kind == "file"] == [
                ("a/1", 3),
                ("in", 3),
            ]
        assert "out of the directory" in answer.unreadable["out"]
        with client.list_files(ListFiles(directory="d", folder="a", links="follow")) as answer:
            assert [entry.path for entries in answer for entry in entries] == ["1"]
        assert answer.unreadable == {}
        with client.digest_files(DigestFiles(directory="d", paths=("in", "out"), links="follow")) as digests:
            assert [found.digest for _, found in digests] == [blake3(b"one").digest(), None]


def test_hard_links_refer_to_the_first(tmp_path: Path) -> None:
    """Further names of a file refer to its first name, relative to the requested folder."""
    make(tmp_path, {"a/1": b"x", "a/3": b"x"})
    os.link(tmp_path / "a/1", tmp_path / "a/2")
    with served(tmp_path) as client:
        assert {path: entry.same_as for path, entry in listing(client).items() if entry.kind == "file"} == {
            "a/1": None,
            "a/2": "a/1",
            "a/3": None,
        }
        assert listing(client, folder="a")["2"].same_as == "1"


def test_what_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that cannot be sent have reasons; such a listing has no state, and too many are an error."""
    make(tmp_path, {f"a/{number}": b"" for number in range(3)})
    for number in range(3):
        Path(os.fsdecode(bytes(tmp_path / "a") + b"/caf\xe9%d" % number)).write_bytes(b"")
    with served(tmp_path) as client:
        for folder, prefix in ((None, "a/"), ("a", "")):
            with client.list_files(ListFiles(directory="d", folder=folder, state="x")) as answer:
                entries = [entry.path for found in answer for entry in found if entry.kind == "file"]
            assert entries == [f"{prefix}{number}" for number in range(3)]
            assert list(answer.unreadable) == [f"{prefix}caf\\xe9{number}" for number in range(3)]
            assert "not valid UTF-8" in answer.unreadable[f"{prefix}caf\\xe90"]
            assert answer.state is None
        monkeypatch.setattr(served_directory, "MAX_UNREADABLE", 2)
        with pytest.raises(ServerError, match="More than 2 files in 'd' cannot be read"):
            listing(client)


def test_a_missing_directory_is_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A missing directory is an error instead of an empty listing; only the log has its path."""
    with served(tmp_path / "none") as client, pytest.raises(ServerError, match="'d'") as caught:
        listing(client)
    assert caught.value.retryable
    assert str(tmp_path) not in str(caught.value)
    assert str(tmp_path / "none") in caplog.text


def test_digests_come_in_the_order_of_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file has its digest, size and time in the order of the request; a missing or non-regular file has none."""
    monkeypatch.setattr(listing_answers, "DIGESTED_AT_ONCE", 7)
    large = os.urandom(3_000_000)
    make(tmp_path, {"a": b"one", "b": b"", "c": large, **{f"many/{number}": b"%d" % number for number in range(150)}})
    paths = ("c", "none", "a", "many", "b", *(f"many/{number}" for number in range(150)))
    with served(tmp_path) as client, client.digest_files(DigestFiles(directory="d", paths=paths)) as answer:
        found = dict(answer)
    assert list(found) == list(paths)
    assert found["c"] == FileDigest(blake3(large).digest(), len(large), OLD_NS)
    assert found["a"] == FileDigest(blake3(b"one").digest(), 3, OLD_NS)
    assert found["b"] == FileDigest(blake3().digest(), 0, OLD_NS)
    assert found["none"] == FileDigest(None)
    assert found["many"].digest is None
    assert "is a directory" in found["many"].problem.lower()
    assert all(found[f"many/{number}"].digest == blake3(b"%d" % number).digest() for number in range(150))


def test_a_broken_disk_ends_the_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is not about a single file ends the whole answer and names where it occurred; no further file is read."""
    make(tmp_path, {f"{number:03}": b"x" for number in range(50)})
    monkeypatch.setattr(listing_answers, "DIGESTED_AT_ONCE", 1)
    opening(
        monkeypatch,
        lambda opened: VersionedFile(cast("BinaryIO", Broken(opened.file, 0, errno.EIO)), opened.entry, opened.is_unchanged),
    )
    paths = tuple(f"{number:03}" for number in range(50))
    with served(tmp_path) as client, pytest.raises(ServerError, match=r"Cannot read '0.*' in 'd': Input/output error"):
        client.digest_files(DigestFiles(directory="d", paths=paths))


def test_an_error_in_the_middle_of_a_listing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing that cannot be completed ends with the reason, and the client refuses it."""
    make(tmp_path, {"a": b"", "b": b""})
    Path(os.fsdecode(bytes(tmp_path) + b"/c\xe9")).write_bytes(b"")
    monkeypatch.setattr(listing_answers, "MESSAGE_ENTRIES", 1)
    monkeypatch.setattr(served_directory, "MAX_UNREADABLE", 0)
    with served(tmp_path) as client, pytest.raises(ServerError, match="the server gave up: More than 0 files") as caught:
        listing(client)
    assert not caught.value.retryable


def test_digests_of_a_folder(tmp_path: Path) -> None:
    """Paths are relative to the folder."""
    make(tmp_path, {"a/1": b"one"})
    with served(tmp_path) as client, client.digest_files(DigestFiles(directory="d", folder="a", paths=("1",))) as answer:
        assert [found.digest for _, found in answer] == [blake3(b"one").digest()]


def test_without_hasher_nothing_is_read_for_digests(tmp_path: Path) -> None:
    """A server without a hasher answers with no digests."""
    make(tmp_path, {"a": b"one"})
    with served(tmp_path, hasher="none") as client:
        with client.digest_files(DigestFiles(directory="d", paths=("a",))) as answer:
            assert list(answer) == []
        assert list(listing(client)) == ["a"]


def _changing(monkeypatch: pytest.MonkeyPatch, times: int) -> list[str]:
    """Let files look as if they changed while they are read, the first few times."""
    opened: list[str] = []
    open_version = LocalOpener.__call__

    def open_changing(self: LocalOpener, path: str) -> VersionedFile:
        found = open_version(self, path)
        opened.append(path)
        return VersionedFile(found.file, found.entry, (lambda: False) if len(opened) <= times else found.is_unchanged)

    monkeypatch.setattr(LocalOpener, "__call__", open_changing)
    return opened


@pytest.mark.parametrize(("times", "digested"), [(2, True), (3, False)])
def test_a_file_that_changes_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, digested: bool) -> None:
    """A digest is of one version; a file that changes each time has a reason instead."""
    make(tmp_path, {"a": b"one"})
    opened = _changing(monkeypatch, times)
    with served(tmp_path) as client, client.digest_files(DigestFiles(directory="d", paths=("a",))) as answer:
        ((_, found),) = answer
    assert opened == ["a"] * 3
    assert (found.digest is not None) is digested
    assert found.is_unstable is not digested
    assert digested or "changed while it was read" in found.problem
    assert found.size == 3


def test_only_this_callers_directories(tmp_path: Path) -> None:
    """A name that is not offered is refused with version 1's message."""
    with served(tmp_path) as client:
        for call in (_list_other, _digest_other):
            with pytest.raises(ServerError, match="does not offer a directory 'other'") as caught:
                call(client)
            assert caught.value.status == 422


def _list_other(client: SyncClient) -> None:
    client.list_files(ListFiles(directory="other"))


def _digest_other(client: SyncClient) -> None:
    client.digest_files(DigestFiles(directory="other", paths=()))

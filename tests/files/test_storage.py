"""What every storage promises, on a local disk, on a file system with directories, and on S3."""

from __future__ import annotations

import pytest

from airflow_provider_sync.exceptions import ConfigurationError, FileError, MissingFileError, SyncError, TransportError
from airflow_provider_sync.files import Md5Hasher, PathFilter, Storage, build_manifest, open_storage
from tests.files.conftest import break_off, get, put, remove

NAMES = [
    "a.txt",
    ".hidden",
    ".dir/x",
    "sub/deep/er/d.txt",
    "häß/雪 😀",
    "e\u0301",
    "with space",
    "new\nline",
    "*",
    "[x]?",
    "q\"u'o&te",
    "%41",
]


def listed(storage: Storage, selection: PathFilter | None = None) -> list[str]:
    """Paths that a scan finds."""
    return sorted(entry.path for entry in storage.scan(selection or PathFilter(), missing_ok=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_comes_back_under_its_name(storage: Storage, name: str) -> None:
    """A written file is listed with its size, is read back, and is gone after its deletion."""
    if storage.location.startswith("s3://") and "\n" in name:
        pytest.skip("the S3 server of the tests does not route keys with line ends")
    put(storage, name, b"some content", size=12)
    assert [(entry.path, entry.size) for entry in storage.scan()] == [(name, 12)]
    assert get(storage, name) == b"some content"
    with storage.open_version(name) as opened:
        assert opened.file.read() == b"some content"
    remove(storage, name)
    assert listed(storage) == []


@pytest.mark.parametrize("content", [b"", b"x", b"y" * 300_000, bytes(range(256)) * 70_000], ids=len)
def test_content_of_any_size(storage: Storage, content: bytes) -> None:
    """Empty and large files are read back byte for byte, in blocks of at most 256 KiB."""
    put(storage, "file", content)
    with storage.read("file") as reader:
        blocks = list(reader)
    assert reader.size == len(content)
    assert b"".join(blocks) == content
    assert max(map(len, blocks), default=0) <= 256 * 1024


def test_the_old_content_stays_until_the_new_is_complete(storage: Storage) -> None:
    """During a write and after a failed one, readers see the old content and no other file."""
    put(storage, "sub/file", b"old")

    def look() -> None:
        assert get(storage, "sub/file") == b"old"
        assert listed(storage) == ["sub/file"]

    with pytest.raises(ZeroDivisionError):
        break_off(storage, "sub/file", b"new" * 4_000_000, meanwhile=look)
    assert get(storage, "sub/file") == b"old"
    assert listed(storage) == ["sub/file"]
    put(storage, "sub/file", b"new")
    assert get(storage, "sub/file") == b"new"


def test_a_failed_write_leaves_no_file(storage: Storage) -> None:
    """If the write of a new file of any size fails, the file does not exist."""
    for size in (1, 20_000_000):
        with pytest.raises(KeyboardInterrupt):
            break_off(storage, "new/file", b"x" * size, error=KeyboardInterrupt)
    assert listed(storage) == []


@pytest.mark.parametrize("size", [0, 4, 6])
def test_another_size_than_announced_is_refused(storage: Storage, size: int) -> None:
    """Content that is shorter or longer than announced never replaces the file."""
    with pytest.raises(FileError, match=r"came with (5|more)"):
        put(storage, "file", b"12345", size=size)
    assert listed(storage) == []


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out", "a//b", "", "a/", "x\0y", "\udcff"])
def test_names_that_lead_out_are_refused_everywhere(storage: Storage, name: str) -> None:
    """Every method refuses a name that leads out of the root, and nothing is written."""
    put(storage, "kept")
    for call in (storage.open_version, storage.read, lambda name: remove(storage, name), lambda name: put(storage, name)):
        with pytest.raises(FileError):
            call(name)
    assert listed(storage) == ["kept"]


def test_missing_files_are_told_apart(storage: Storage) -> None:
    """The read of a missing file raises an error class of its own; the deletion of one is no error."""
    put(storage, "there")
    for name in ("absent", "absent/x", "there/x"):
        with pytest.raises(MissingFileError if name != "there/x" else FileError):
            storage.open_version(name)
        with pytest.raises(MissingFileError if name != "there/x" else FileError):
            storage.read(name)
        remove(storage, name)
    assert listed(storage) == ["there"]


def test_a_directory_is_not_a_file(storage: Storage) -> None:
    """A directory cannot be read or deleted as a file."""
    put(storage, "sub/x")
    with pytest.raises(FileError):
        storage.open_version("sub")
    remove(storage, "sub")
    assert listed(storage) == ["sub/x"]


def test_deleting_the_last_file_deletes_its_directories(storage: Storage) -> None:
    """The deletion of the last file deletes its empty directories, whose names a file may then take."""
    put(storage, "a/b/c/x")
    put(storage, "a/y")
    remove(storage, "a/b/c/x")
    put(storage, "a/b", b"now a file")
    assert listed(storage) == ["a/b", "a/y"]
    assert get(storage, "a/b") == b"now a file"


def test_scans_list_what_is_selected(storage: Storage) -> None:
    """A scan lists the selected files only."""
    for name in ("a.png", "b.txt", "tmp/c.png", "d/e.png"):
        put(storage, name)
    assert listed(storage, PathFilter(include=["**/*.png"], exclude=["tmp/**"])) == ["a.png", "d/e.png"]


def test_scans_see_what_others_changed(storage: Storage) -> None:
    """A second scan lists the present files, not those of the first scan."""
    put(storage, "a", b"1")
    assert build_manifest(storage, Md5Hasher()) == {"a": "c4ca4238a0b923820dcc509a6f75849b"}
    put(storage, "a", b"22")
    put(storage, "b", b"1")
    assert build_manifest(storage, Md5Hasher()) == {
        "a": "b6d767d2f8ed5d21a44b0e5886680cb9",
        "b": "c4ca4238a0b923820dcc509a6f75849b",
    }


def test_cleaning_leaves_files_alone(storage: Storage) -> None:
    """If there are no leftovers, the cleanup removes nothing."""
    put(storage, "a")
    with storage.exclusive(1):
        assert storage.clean(0) == 0
    assert listed(storage) == ["a"]


def test_paths_lead_to_storages(tmp_path: object) -> None:
    """Local paths, file URLs and URLs of stores open a storage; other values are configuration errors."""
    assert open_storage(str(tmp_path)).location == str(tmp_path)
    assert open_storage(f"file://{tmp_path}").location == str(tmp_path)
    assert open_storage("memory://bucket/root").location == "memory://bucket/root"
    for path in ("", "nosuch://x", "s3://connection@bucket/x", "gs://connection@bucket"):
        with pytest.raises(ConfigurationError):
            open_storage(path)


def test_a_store_that_connects_at_once() -> None:
    """The error for a host that does not answer names the host without user and password."""
    with pytest.raises(TransportError, match=r"No answer from ftp://127\.0\.0\.1: .*refused\. Check the URL") as raised:
        open_storage("ftp://user:secret@127.0.0.1:1/folder")
    assert "secret" not in str(raised.value)


def test_errors_never_show_credentials() -> None:
    """The error for a URL with a user part does not repeat that part."""
    with pytest.raises(ConfigurationError) as failure:
        open_storage("s3://key:secret@bucket/x")
    assert "secret" not in str(failure.value)


def test_replacing_obstacles_needs_leave(storage: Storage) -> None:
    """A file in the place of a directory, or the reverse, is replaced only if this is allowed."""
    put(storage, "file", b"1")
    put(storage, "dir/x", b"2")
    put(storage, "dir/sub/y", b"3")
    if storage.location.startswith("s3://"):
        # Keys are flat: nothing stands in the way of anything.
        put(storage, "file/below")
        put(storage, "dir")
        return
    for name, replaces in (("file/below/it", ()), ("dir", ()), ("dir", {"dir/x"})):
        with pytest.raises(SyncError, match="stands in the way"):
            put(storage, name, b"new", replaces=replaces)
    assert listed(storage) == ["dir/sub/y", "dir/x", "file"]
    put(storage, "file/below/it", b"new", replaces={"file"})
    put(storage, "dir", b"new", replaces={"dir/x", "dir/sub/y"})
    assert listed(storage) == ["dir", "file/below/it"]
    for gone in ("file", "dir/x", "dir/sub/y"):
        remove(storage, gone)
    assert listed(storage) == ["dir", "file/below/it"]

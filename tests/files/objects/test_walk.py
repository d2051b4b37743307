"""Walks of object stores: in order, by the listing alone."""

from __future__ import annotations

import pytest
from fsspec import AbstractFileSystem
from s3fs import S3FileSystem

from airflow_provider_sync.exceptions import FileError, MissingFileError
from airflow_provider_sync.files import PathFilter
from airflow_provider_sync.files.objects.object_storage import ObjectStorage
from airflow_provider_sync.files.objects.s3_api import S3Api
from airflow_provider_sync.protocol.v2.file_messages import path_order
from tests.files.conftest import put

NAMES = ["a", "a b/x", "a-1", "a.txt", "b/.hidden", "b/c.d/e", "b/c/d", "b0", "é/ü"]


@pytest.fixture(params=["s3", "gcs"])
def storage(request: pytest.FixtureRequest) -> ObjectStorage:
    """A prefix in a bucket of each store that lists by key."""
    filesystem: AbstractFileSystem = request.getfixturevalue(request.param)
    return ObjectStorage(filesystem, f"{request.param}://bucket/root")


def paths(storage: ObjectStorage, path_filter: PathFilter | None = None) -> list[str]:
    """The paths of a walk."""
    return [entry.path for entry in storage.walk(path_filter or PathFilter())]


def test_objects_come_in_the_order_of_paths(storage: ObjectStorage) -> None:
    """A walk is sorted by path components, and selects the same files as a scan."""
    assert paths(storage) == []
    for path in NAMES:
        put(storage, path)
    put(ObjectStorage(storage._fs, "bucket/rootless"), "x")
    assert paths(storage) == sorted(NAMES, key=path_order)
    assert paths(storage, PathFilter(include=["b/**"], exclude=["**/d"])) == ["b/.hidden", "b/c.d/e"]
    whole = [*(f"root/{path}" for path in sorted(NAMES, key=path_order)), "rootless/x"]
    assert paths(ObjectStorage(storage._fs, "bucket")) == whole


def test_entries_are_those_of_opened_objects(storage: ObjectStorage) -> None:
    """Size, time and version of a listing equal those of the opened object, and change with its content."""
    put(storage, "x", b"old")
    (entry,) = storage.walk()
    assert (entry.kind, entry.size, entry.digest) == ("file", 3, None)
    assert entry.version
    assert entry.mtime_ns > 1_700_000_000_000_000_000
    with storage.open_version("x") as opened:
        assert opened.entry == entry
        assert opened.file.read() == b"old"
        assert opened.is_unchanged()
    put(storage, "x", b"new")
    (changed,) = storage.walk()
    assert changed.version != entry.version


def test_a_change_while_an_object_is_read_is_noticed(storage: ObjectStorage) -> None:
    """An object that is replaced between two ranges has another version, or cannot be read on."""
    put(storage, "x", b"0123456789" * 100_000)
    with storage.open_version("x") as opened:
        opened.file.seek(900_000)
        assert opened.file.read(10) == b"0123456789"
        assert opened.is_unchanged()
        put(storage, "x", b"9876543210" * 100_000)
        opened.file.seek(100_000)
        with pytest.raises(FileError):
            read_unchanged(opened)


def read_unchanged(opened: object) -> None:
    """Read on, and complain about a change."""
    opened.file.read(10)  # type: ignore[attr-defined]
    if not opened.is_unchanged():  # type: ignore[attr-defined]
        raise FileError("It changed.")


def test_ranges_are_read(storage: ObjectStorage) -> None:
    """Any range of an object can be read."""
    data = bytes(range(256)) * 4000
    put(storage, "x", data)
    with storage.open_version("x") as opened:
        file = opened.file
        assert file.seekable()
        assert file.seek(-10, 2) == len(data) - 10
        assert file.read(100) == data[-10:]
        assert file.read(100) == b""
        assert file.seek(3) == 3
        assert file.read(300_000) == data[3:300_003]
        assert file.seek(5, 1) == 300_008
        assert file.tell() == 300_008
        assert file.read() == data[300_008:]


def test_an_object_is_read_with_one_request(s3: S3FileSystem) -> None:
    """A small object takes one request, for reads of any size."""
    storage = ObjectStorage(s3, "s3://bucket/root")
    put(storage, "x", b"x" * 1_000_000)
    with storage.open_version("x") as opened:
        while opened.file.read(100_000):
            pass
        assert opened.file.requests == 1  # type: ignore[attr-defined]
        assert opened.is_unchanged()


def test_an_object_that_is_also_a_folder_is_left_out(s3: S3FileSystem) -> None:
    """If a file and a folder have one name, the file is reported, and the rest is listed."""
    storage = ObjectStorage(s3, "s3://bucket/root")
    for path in ("a", "a/b", "a/b/c", "ab"):
        s3.pipe(f"bucket/root/{path}", b"x")
    with pytest.raises(FileError, match=r"'a' in s3://bucket/root is an object and also the folder of others"):
        list(storage.walk())
    left_out: dict[str, FileError] = {}
    assert [entry.path for entry in storage.walk(on_unreadable=left_out.__setitem__)] == ["a/b/c", "ab"]
    assert set(left_out) == {"a", "a/b"}
    assert paths(storage, PathFilter(exclude=["a", "a/b"])) == ["a/b/c", "ab"]
    # A target has both until what is in the way is removed.
    assert [entry.path for entry in storage.walk(missing_ok=True)] == ["a", "a/b", "a/b/c", "ab"]


def test_keys_that_are_no_file_names_are_left_out(s3: S3FileSystem) -> None:
    """Empty markers of folders are ignored; keys that are not safe file names are reported."""
    storage = ObjectStorage(s3, "s3://bucket/root")
    for key in ("root/", "root/marker/", "root/folder/", "root/a//b", "root/../x", "root/folder/x"):
        s3.call_s3("put_object", Bucket="bucket", Key=key, Body=b"" if key in ("root/", "root/marker/") else b"x")
    with pytest.raises(FileError, match="file name"):
        list(storage.walk())
    left_out: dict[str, FileError] = {}
    assert [entry.path for entry in storage.walk(on_unreadable=left_out.__setitem__)] == ["folder/x"]
    assert set(left_out) == {"a//b", "../x", "folder//"}
    assert "The file name 'folder/' ends in '/'. Rename" in str(left_out["folder//"])
    listed: dict[str, FileError] = {}
    assert [entry.path for entry in storage.scan(on_unreadable=listed.__setitem__)] == ["folder/x"]
    assert set(listed) == set(left_out)
    assert paths(storage, PathFilter(include=["folder/x"])) == ["folder/x"]


def test_content_of_the_root_itself_is_reported(s3: S3FileSystem) -> None:
    """An object with content whose key is the root with a slash is no file."""
    storage = ObjectStorage(s3, "s3://bucket/root")
    s3.call_s3("put_object", Bucket="bucket", Key="root/", Body=b"x")
    left_out: dict[str, FileError] = {}
    assert list(storage.walk(on_unreadable=left_out.__setitem__)) == []
    assert [*left_out] == ["/"]


def test_pages_are_asked_for_as_the_walk_goes_on(s3: S3FileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing is read page by page, without reading objects."""
    storage = ObjectStorage(s3, "s3://bucket/root")
    real = s3.call_s3
    for number in range(10):
        put(storage, f"{number}")
    calls = []

    def call(method: str, **arguments: object) -> object:
        calls.append(method)
        return real(method, **arguments, MaxKeys=3)

    monkeypatch.setattr(s3, "call_s3", call)
    walk = storage.walk()
    assert next(walk).path == "0"
    assert len(calls) < 4
    assert [entry.path for entry in walk] == [f"{number}" for number in range(1, 10)]
    assert calls == ["list_objects_v2"] * 4


def test_an_unordered_bucket_is_sorted(s3: S3FileSystem) -> None:
    """Directory buckets, whose listings are unsorted, are sorted by the client."""
    assert not S3Api(s3, "bucket--x-s3", "").lists_by_key
    storage = ObjectStorage(s3, "s3://bucket/root")
    assert storage._api is not None
    storage._api.lists_by_key = False
    for path in NAMES:
        put(storage, path)
    assert paths(storage) == sorted(NAMES, key=path_order)


def test_a_missing_bucket_or_object_is_an_error(s3: S3FileSystem) -> None:
    """A missing bucket does not count as empty, and a missing object has no entry."""
    with pytest.raises(FileError, match="no-such-bucket"):
        list(ObjectStorage(s3, "s3://no-such-bucket/root").walk(missing_ok=True))
    with pytest.raises(MissingFileError):
        ObjectStorage(s3, "s3://bucket/root").look_up("x")

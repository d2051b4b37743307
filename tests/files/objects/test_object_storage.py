"""Object storage: an S3 server over HTTP."""

from __future__ import annotations

import hashlib
import time

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from s3fs import S3FileSystem

from airflow_provider_sync.exceptions import (
    ConfigurationError,
    FileChangedError,
    FileError,
    SyncError,
    TransportError,
)
from airflow_provider_sync.files import Md5Hasher, PathFilter, Storage, build_manifest, open_storage
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.objects.object_storage import ObjectStorage
from tests.files.conftest import break_off, get, put, remove

PART = 8 * 1024 * 1024


@pytest.fixture
def storage(s3: S3FileSystem) -> ObjectStorage:
    """A prefix in a fresh bucket."""
    return ObjectStorage(s3, "s3://bucket/root")


def keys(s3: S3FileSystem) -> list[str]:
    """Everything in the bucket."""
    s3.invalidate_cache()
    return sorted(s3.find("bucket"))


def test_a_connection_before_the_bucket_is_dropped(s3: S3FileSystem) -> None:
    """With the connection's file system, the URL may still name the connection, as in Airflow."""
    put(open_storage("s3://company@bucket/root", s3), "x")
    assert keys(s3) == ["bucket/root/x"]
    assert open_storage("bucket/root", s3).location == "s3://bucket/root"


def test_a_whole_bucket(s3: S3FileSystem) -> None:
    """The root may be a bucket without a prefix, but not without a bucket."""
    storage = open_storage("s3://bucket", s3)
    put(storage, "x")
    put(storage, "y/z")
    assert sorted(entry.path for entry in storage.scan()) == ["x", "y/z"]
    with pytest.raises(ConfigurationError, match="names no bucket"):
        open_storage("s3://", s3)


def test_a_bucket_that_is_not_there(s3: S3FileSystem) -> None:
    """The error for a missing bucket says so; a prefix is never missing."""
    with pytest.raises(FileError, match=r"s3://absent/root: it does not exist\. Make the bucket, or check its name\."):
        list(ObjectStorage(s3, "s3://absent/root").scan())


def test_other_prefixes_are_left_alone(storage: ObjectStorage, s3: S3FileSystem) -> None:
    """A prefix with the same beginning, and an object with the root's name, are not part of the directory."""
    for key in ("root", "rootless/x", "other/root/x"):
        s3.pipe(f"bucket/{key}", b"x")
    assert list(storage.scan()) == []
    put(storage, "x")
    assert [entry.path for entry in storage.scan()] == ["x"]


def test_markers_of_directories_are_no_files(storage: ObjectStorage, s3: S3FileSystem) -> None:
    """Keys that end in a slash, which consoles create for folders, are ignored."""
    for key in ("root/", "root/folder/", "root/folder/sub/"):
        s3.call_s3("put_object", Bucket="bucket", Key=key, Body=b"")
    put(storage, "folder/x")
    assert [entry.path for entry in storage.scan()] == ["folder/x"]


@pytest.mark.parametrize("key", ["root//x", "root/a//b", "root/a/../../x", "root/./x", "root/..", "root/" + "x" * 256])
def test_keys_that_are_no_file_names_are_an_error(storage: ObjectStorage, s3: S3FileSystem, key: str) -> None:
    """A key that is not a safe file name fails a scan with an error, unless it is excluded."""
    s3.call_s3("put_object", Bucket="bucket", Key=key, Body=b"x")
    put(storage, "good")
    with pytest.raises(FileError, match=r"file name .*Rename the file, or exclude it on both sides"):
        list(storage.scan())
    assert [entry.path for entry in storage.scan(PathFilter(include=["good"]))] == ["good"]


def test_a_name_that_s3fs_would_cut_is_refused(storage: ObjectStorage, s3: S3FileSystem) -> None:
    """A name with s3fs's version separator never reaches another object."""
    put(storage, "x", b"kept")
    for call in (storage.open_version, storage.read, lambda name: remove(storage, name), lambda name: put(storage, name)):
        with pytest.raises(FileError, match="versionId"):
            call("x?versionId=1")
    assert keys(s3) == ["bucket/root/x"]
    assert get(storage, "x") == b"kept"


def test_large_objects_go_up_in_parts(storage: ObjectStorage) -> None:
    """Content above one part arrives completely, without being held in memory."""
    content = b"0123456789abcdef" * (PART // 8)
    put(storage, "large", content)
    assert build_manifest(storage, Md5Hasher()) == {"large": hashlib.md5(content).hexdigest()}
    assert get(storage, "large") == content


@pytest.mark.parametrize("size", [1, PART + 1, 3 * PART])
def test_an_upload_that_fails_is_given_up(storage: ObjectStorage, s3: S3FileSystem, size: int) -> None:
    """After a failure there is no object and no unfinished upload, also after garbage collection."""
    import gc

    put(storage, "kept", b"old")
    for name in ("new", "kept"):
        with pytest.raises(ZeroDivisionError):
            break_off(storage, name, b"x" * size)
        with pytest.raises(FileError, match="instead of"):
            put(storage, name, b"x" * size, size=size + 1)
    gc.collect()
    assert keys(s3) == ["bucket/root/kept"]
    assert get(storage, "kept") == b"old"
    assert s3.list_multipart_uploads("bucket") == []


def test_unfinished_uploads_are_cleaned(storage: ObjectStorage, s3: S3FileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads of killed syncs under this root are aborted after a day; other ones stay."""
    for key in ("root/a", "root/b", "rootless/c"):
        s3.call_s3("create_multipart_upload", Bucket="bucket", Key=key)
    begun = s3.list_multipart_uploads("bucket")[0]["Initiated"].timestamp()
    monkeypatch.setattr(time, "time", lambda: begun + 80_000)
    assert storage.clean(0) == 0
    monkeypatch.setattr(time, "time", lambda: begun + 90_000)
    assert storage.clean(100_000) == 0
    assert storage.clean(0) == 2
    monkeypatch.undo()
    assert [upload["Key"] for upload in s3.list_multipart_uploads("bucket")] == ["rootless/c"]


@pytest.mark.parametrize("size", [10, 3 * PART])
def test_an_object_that_is_replaced_while_it_is_read(storage: ObjectStorage, s3: S3FileSystem, size: int) -> None:
    """A reader gets one version of an object, or an error before its last block."""
    put(storage, "x", b"a" * size)
    with storage.read("x") as reader:
        blocks = iter(reader)
        received = [next(blocks)] if size > PART else []
        s3.pipe("bucket/root/x", b"b" * size)
        with pytest.raises(FileChangedError, match=r"'x'.*changed while it was read"):
            received.extend(blocks)
        content = b"".join(received)
        assert len(content) < size
        assert set(content) <= {ord("a")}


def test_readers_see_what_others_wrote(storage: ObjectStorage, s3_endpoint: str) -> None:
    """An object that was replaced after a scan is read in its current version."""
    put(storage, "x", b"old")
    assert len(list(storage.scan())) == 1
    other = S3FileSystem(key="testing", secret="testing", endpoint_url=s3_endpoint, skip_instance_cache=True)
    other.pipe("bucket/root/x", b"newer")
    S3FileSystem.close_session(other.loop, other.s3)
    with storage.read("x") as reader:
        assert reader.size == 5
        assert b"".join(reader) == b"newer"


def test_a_missing_bucket_is_an_error_for_everything(s3: S3FileSystem) -> None:
    """A missing bucket does not count as empty, and is not created."""
    storage = open_storage("s3://no-such-bucket/root", s3)
    for call in (
        lambda: list(storage.scan(missing_ok=True)),
        lambda: storage.open_version("x"),
        lambda: put(storage, "x"),
        lambda: remove(storage, "x"),
    ):
        with pytest.raises(SyncError, match="no-such-bucket"):
            call()
    assert not s3.exists("no-such-bucket")


def test_a_store_that_does_not_answer_may_be_tried_again() -> None:
    """A store that does not answer is a transient error without credentials."""
    s3 = S3FileSystem(
        key="name",
        secret="secret-value",
        endpoint_url="http://127.0.0.1:9",
        skip_instance_cache=True,
        config_kwargs={"retries": {"max_attempts": 0}},
    )
    s3.retries = 1
    storage = open_storage("s3://bucket/root", s3)
    with pytest.raises(TransportError) as failure:
        list(storage.scan())
    assert failure.value.retryable
    assert "secret-value" not in str(failure.value)
    S3FileSystem.close_session(s3.loop, s3.s3)


def test_local_file_systems_are_used_directly(tmp_path: object) -> None:
    """Fsspec's local file system is replaced by ours, which does not follow links."""
    storage = open_storage(f"file://{tmp_path}", LocalFileSystem())
    assert isinstance(storage, LocalStorage)
    assert storage.location == str(tmp_path)


def test_file_systems_with_directories_know_a_missing_root(memory: MemoryFileSystem) -> None:
    """On file systems with directories, a missing one is an error at the source, and an empty one is empty."""
    storage = open_storage("memory://srv/data", memory)
    with pytest.raises(FileError, match="memory://srv/data"):
        list(storage.scan())
    memory.makedirs("/srv/data")
    assert list(storage.scan()) == []


def test_object_storage_refuses(memory: object) -> None:
    """``atomic`` on object storage is refused with the reason."""
    storage: Storage = open_storage("memory://bucket/root", memory)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"atomic: .* is object storage"):
        storage.atomic_copy()

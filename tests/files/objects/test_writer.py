"""Writing many objects: to S3, to Google Cloud Storage, and to a file system with directories."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from blake3 import blake3
from fsspec import AbstractFileSystem
from s3fs import S3FileSystem

from airflow_provider_sync.exceptions import FileChangedError, FileError, IncompleteStreamError
from airflow_provider_sync.files.assemble import after, assemble, fetched_ranges, whole_file
from airflow_provider_sync.files.chunk_matching import Stretch
from airflow_provider_sync.files.objects import writer as object_tree_writer
from airflow_provider_sync.files.objects.object_storage import ObjectStorage
from airflow_provider_sync.files.objects.s3_api import S3Api
from airflow_provider_sync.files.objects.writer import ObjectTreeWriter
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_writer import Backup, Metadata, TreeWriter
from tests.files.conftest import get, put

PLAIN = Metadata()
LONG_AGO = Metadata(1_000_000_000_123_456_789)
PART = 8 * 1024 * 1024


@pytest.fixture(params=["memory", "s3", "gcs"])
def storage(request: pytest.FixtureRequest) -> ObjectStorage:
    """Each kind of store, empty."""
    filesystem: AbstractFileSystem = request.getfixturevalue(request.param)
    return ObjectStorage(filesystem, f"{request.param}://bucket/root")


@pytest.fixture
def writer(storage: ObjectStorage) -> Iterator[TreeWriter]:
    """A writer for which nothing in the way may go."""
    with storage.writer(may_replace=lambda path: False) as writer:
        yield writer


def content(storage: ObjectStorage) -> dict[str, bytes]:
    """Everything in a store, in the order of a walk."""
    return {entry.path: get(storage, entry.path) for entry in storage.walk(missing_ok=True)}


def put_all(storage: ObjectStorage, files: dict[str, bytes]) -> None:
    """Write files as version 1 does."""
    for path, data in files.items():
        put(storage, path, data)


def test_many_objects_are_written(storage: ObjectStorage, writer: TreeWriter) -> None:
    """After the commit, every object exists, and the returned entries equal those of a walk."""
    files = {f"a/{number % 7}/é {number:03}.txt": b"%d" % number * number for number in range(40)}
    for path, data in files.items():
        writer.put(path, data, LONG_AGO)
    entries = writer.commit()
    assert content(storage) == files
    walked = {entry.path: entry for entry in storage.walk()}
    for entry in entries:
        assert (entry.size, entry.version) == (len(files[entry.path]), walked.pop(entry.path).version)
    assert walked == {}
    assert writer.commit() == []


def test_objects_are_replaced(storage: ObjectStorage, writer: TreeWriter) -> None:
    """New content replaces the old, with another version."""
    put(storage, "x", b"old")
    before = list(storage.walk())
    writer.put("x", b"new", PLAIN)
    assert writer.commit()[0].version != before[0].version or not before[0].version
    assert content(storage) == {"x": b"new"}


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # by gcsfs
@pytest.mark.parametrize("size", [0, 10, 2 * PART + 100])
def test_large_objects_are_written_in_parts(storage: ObjectStorage, writer: TreeWriter, size: int) -> None:
    """A large object appears when it is complete, and its digest is that of the sent content."""
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    new = writer.create("x", size=size, metadata=LONG_AGO, resume_key="key")
    blocks = [data[start : start + 1_000_003] for start in range(0, size, 1_000_003)]
    assert new.written == 0
    assemble(new, whole_file(size), "x", blocks, digest=blake3(data).digest())
    assert content(storage) == {}
    new.finish()
    assert [(entry.path, entry.size) for entry in writer.commit()] == [("x", size)]
    assert content(storage) == {"x": data}
    assert [entry.version for entry in storage.walk()] == [storage.look_up("x").version]


def test_an_upload_goes_on_after_a_cut_answer(storage: ObjectStorage, writer: TreeWriter) -> None:
    """The digest includes content that was written before the source's answer was cut."""
    data = bytes(range(256)) * 1000

    def cut() -> Iterator[bytes]:
        yield data[:100_000]
        raise IncompleteStreamError("The answer was cut. Try again.")

    new = writer.create("x", size=len(data), metadata=PLAIN)
    with pytest.raises(IncompleteStreamError):
        assemble(new, whole_file(len(data)), "x", cut(), digest=blake3(data).digest())
    left = list(after(whole_file(len(data)), new.written))
    assert fetched_ranges(left) == ((100_000, len(data) - 100_000),)
    with pytest.raises(FileChangedError):
        assemble(writer.create("y", size=3, metadata=PLAIN), whole_file(3), "y", [b"abc"], digest=blake3(data).digest())
    assert assemble(new, left, "x", [data[100_000:]], digest=blake3(data).digest()) == blake3(data).digest()
    new.finish()
    writer.commit()
    assert content(storage) == {"x": data}


def test_an_object_of_another_size_is_refused(storage: ObjectStorage, writer: TreeWriter) -> None:
    """A too short object is not created, and the old one stays."""
    put(storage, "x", b"old")
    new = writer.create("x", size=5, metadata=PLAIN)
    new.write(b"new")
    with pytest.raises(FileError, match="3 bytes instead of 5"):
        new.finish()
    new.discard()
    assert writer.commit() == []
    assert content(storage) == {"x": b"old"}


# The server of Google Cloud Storage does not know how an upload in parts is given up.
@pytest.mark.parametrize(("storage", "size"), [("memory", 10), ("s3", 10), ("s3", PART + 100), ("gcs", 10)], indirect=["storage"])
def test_what_is_not_finished_leaves_nothing(storage: ObjectStorage, size: int) -> None:
    """An unfinished object is aborted at the end of the block, and by ``discard`` and ``keep``."""

    def fail() -> None:
        with storage.writer(may_replace=lambda path: False) as writer:
            for path in ("a", "b", "c"):
                writer.create(path, size=2 * size, metadata=PLAIN, resume_key="key").write(b"x" * size)
            one = writer.create("d", size=2 * size, metadata=PLAIN)
            one.write(b"x")
            one.keep()
            one.discard()
            raise ZeroDivisionError

    with suppress(ZeroDivisionError):
        fail()
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.create("e", size=2 * size, metadata=PLAIN).write(b"x" * size)
    assert content(storage) == {}
    assert storage.clean(0) == 0


def test_objects_are_copied_in_the_store(storage: ObjectStorage, writer: TreeWriter) -> None:
    """A copy has the compared version's content; a move removes its source afterwards."""
    put_all(storage, {"a": b"one", "b": b"two"})
    version = storage.look_up("a").version
    writer.copy("x/a", "a", PLAIN, version=version)
    writer.copy("x/b", "b", PLAIN, move=True)
    writer.remove("b")
    assert [(entry.path, entry.size) for entry in writer.commit()] == [("x/a", 3), ("x/b", 3)]
    assert content(storage) == {"a": b"one", "x/a": b"one", "x/b": b"two"}


def test_a_copy_of_another_version_is_refused(s3: S3FileSystem) -> None:
    """An object that changed since it was compared, or is gone, is not copied."""
    storage = ObjectStorage(s3, "bucket/root")
    put(storage, "a", b"one")
    version = storage.look_up("a").version
    put(storage, "a", b"another")
    failed: dict[str, FileError] = {}
    with storage.writer(may_replace=lambda path: False, on_failure=failed.__setitem__) as writer:
        writer.copy("x", "a", PLAIN, version=version)
        writer.copy("y", "missing", PLAIN)
        writer.put("z", b"z", PLAIN)
        assert [entry.path for entry in writer.commit()] == ["z"]
    assert {path: type(error) for path, error in failed.items()} == {"x": FileChangedError, "y": FileChangedError}
    assert content(storage) == {"a": b"another", "z": b"z"}


def test_objects_are_removed(storage: ObjectStorage) -> None:
    """Removed objects are gone after the commit; missing ones are no error, and rewritten ones stay."""
    put_all(storage, {"a": b"a", "b/c": b"c", "d": b"d"})
    with storage.writer(may_replace=lambda path: False) as writer:
        for path in ("a", "b/c", "missing"):
            writer.remove(path)
        assert writer.remove_directory("b")
        writer.put("a", b"new", PLAIN)
    assert content(storage) == {"a": b"new", "d": b"d"}


def test_more_objects_are_removed_than_one_request_takes(s3: S3FileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are removed by several requests if necessary, after copies from them."""
    monkeypatch.setattr(S3Api, "max_deletes", 4)
    monkeypatch.setattr(object_tree_writer, "_MAX_REMOVED", 10)
    storage = ObjectStorage(s3, "bucket/root")
    with storage.writer(may_replace=lambda path: False) as writer:
        for number in range(25):
            writer.put(f"{number}", b"%d" % number, PLAIN)
        writer.commit()
        for number in range(25):
            writer.copy(f"new/{number}", f"{number}", PLAIN)
            writer.remove(f"{number}")
        assert len(list(storage.walk())) <= 30
    assert content(storage) == {f"new/{number}": b"%d" % number for number in range(25)}


def test_a_removal_that_is_denied_is_an_error(s3: S3FileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """A denied removal is an error, although the whole request succeeds."""
    storage = ObjectStorage(s3, "bucket/root")
    real = s3.call_s3

    def call(method: str, **arguments: object) -> object:
        if method == "delete_objects":
            return {"Errors": [{"Key": "root/x", "Code": "AccessDenied", "Message": "no"}]}
        return real(method, **arguments)

    monkeypatch.setattr(s3, "call_s3", call)
    with pytest.raises(FileError, match=r"Cannot delete 'x'.*AccessDenied: no"), storage.writer(may_replace=bool) as writer:
        writer.remove("x")


def test_what_stores_do_not_have_is_refused(storage: ObjectStorage, writer: TreeWriter) -> None:
    """Links and ranges of other objects are refused with a reason; directories need no creation."""
    writer.make_directory("d", Metadata(mode=0o700))
    with pytest.raises(FileError, match="'x' is a symbolic link"):
        writer.make_link("x", "y")
    put(storage, "a", b"a")
    new = writer.create("x", size=1, metadata=PLAIN)
    with pytest.raises(FileError, match="made of stretches of 'a'"):
        assemble(new, [Stretch(0, 1, 0)], "a", [], digest=None)
    new.discard()
    for call in (writer.remove, lambda path: writer.put(path, b"", PLAIN), lambda path: writer.copy("b", path, PLAIN)):
        with pytest.raises(FileError, match="file name"):
            call("../x")
    assert content(storage) == {"a": b"a"}


def times(storage: ObjectStorage) -> list[int]:
    """The times of modification that a walk finds."""
    return [entry.mtime_ns for entry in storage.walk()]


def test_times_are_kept_in_metadata(s3: S3FileSystem, gcs: AbstractFileSystem) -> None:
    """Times of modification go into the metadata of objects, by one request or in parts; Google's listings show them."""
    for filesystem, name in ((s3, "s3"), (gcs, "gcs")):
        storage = ObjectStorage(filesystem, f"{name}://bucket/root")
        with storage.writer(may_replace=lambda path: False) as writer:
            writer.put("a", b"a", LONG_AGO)
            new = writer.create("b", size=1, metadata=LONG_AGO)
            new.write(b"b")
            new.finish()
    for key in ("root/a", "root/b"):
        assert s3.call_s3("head_object", Bucket="bucket", Key=key)["Metadata"] == {"mtime": "1000000000.123456789"}
    assert times(ObjectStorage(gcs, "gcs://bucket/root")) == [LONG_AGO.mtime_ns] * 2


def test_a_time_is_set_by_a_copy_inside_the_store(s3: S3FileSystem) -> None:
    """Metadata of an existing object is set without downloading its content."""
    storage = ObjectStorage(s3, "s3://bucket/root")
    put(storage, "a", b"a")
    with storage.writer(may_replace=lambda path: False) as writer:
        entry = writer.set_metadata("a", LONG_AGO)
        assert isinstance(entry, TreeEntry)
        assert writer.set_metadata("a", PLAIN) == entry
    assert s3.call_s3("head_object", Bucket="bucket", Key="root/a")["Metadata"] == {"mtime": "1000000000.123456789"}
    assert content(storage) == {"a": b"a"}


def test_what_is_replaced_or_removed_goes_to_the_backup(storage: ObjectStorage) -> None:
    """Old content is kept once below the run's prefix, and missing content is not."""
    put_all(storage, {"a": b"old a", "b/c": b"old c", "d": b"d", "large": b"old"})
    with storage.writer(may_replace=lambda path: False, backup=Backup("kept/by date")) as writer:
        writer.put("a", b"new a", PLAIN)
        writer.put("new", b"new", PLAIN)
        writer.commit()
        writer.put("a", b"newer a", PLAIN)
        writer.remove("b/c")
        new = writer.create("large", size=3, metadata=PLAIN)
        new.write(b"new")
        new.finish()
    found = content(storage)
    run = next(path for path in found if path.startswith("kept/")).split("/")[2]
    assert found == {
        "a": b"newer a",
        "d": b"d",
        f"kept/by date/{run}/a": b"old a",
        f"kept/by date/{run}/b/c": b"old c",
        f"kept/by date/{run}/large": b"old",
        "large": b"new",
        "new": b"new",
    }


def test_old_backups_are_removed(storage: ObjectStorage) -> None:
    """Backups older than the configured days are removed, and nothing else."""
    put_all(
        storage,
        {
            "kept/2020-01-01T000000Z/a": b"a",
            "kept/2020-01-01T000000Z/b/c": b"c",
            "kept/9020-01-01T000000Z/a": b"a",
            "kept/2020-99-01T000000Z/a": b"a",
            "kept/mine": b"mine",
            "x": b"old",
        },
    )
    with storage.writer(may_replace=lambda path: False, backup=Backup("kept", days=30)) as writer:
        writer.put("x", b"new", PLAIN)
    found = content(storage)
    today = [path for path, data in found.items() if data == b"old"]
    assert len(today) == 1
    assert set(found) == {"kept/9020-01-01T000000Z/a", "kept/2020-99-01T000000Z/a", "kept/mine", "x", *today}


def test_a_store_that_fails_ends_the_block(s3: S3FileSystem) -> None:
    """Without a callback for failures, a commit raises the first error after the others exist."""
    storage = ObjectStorage(s3, "s3://missing-bucket/root")
    with pytest.raises(FileError, match="missing-bucket"), storage.writer(may_replace=lambda path: False) as writer:
        writer.put("x", b"x", PLAIN)


def test_content_that_waits_is_bounded(s3: S3FileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer blocks while much content is being sent."""
    storage = ObjectStorage(s3, "s3://bucket/root")
    most = []
    with storage.writer(may_replace=lambda path: False) as writer:
        assert isinstance(writer, ObjectTreeWriter)
        for number in range(24):
            writer.put(f"{number}", bytes(4 * 1024 * 1024), PLAIN)
            most.append(writer._waiting_bytes)
    assert max(most) <= 64 * 1024 * 1024
    assert len(list(storage.walk())) == 24


def test_obstacles_give_way_only_where_they_may(memory: AbstractFileSystem) -> None:
    """On stores with directories, files and directories replace each other only if allowed."""
    storage = ObjectStorage(memory, "memory://bucket/root")
    put_all(storage, {"a": b"a", "b/c": b"c"})
    with storage.writer(may_replace=lambda path: path in {"a", "b/c"}) as writer:
        writer.put("a/x", b"x", PLAIN)
        writer.put("b", b"b", PLAIN)
    assert content(storage) == {"a/x": b"x", "b": b"b"}
    failed: dict[str, FileError] = {}
    with storage.writer(may_replace=lambda path: False, on_failure=failed.__setitem__) as writer:
        writer.put("b/y", b"y", PLAIN)
    assert set(failed) == {"b/y"}
    assert content(storage) == {"a/x": b"x", "b": b"b"}

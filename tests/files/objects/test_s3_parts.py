"""Objects of S3 that are made of parts: large uploads, and copies of large objects."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from werkzeug.wrappers import Response

from airflow_provider_sync.exceptions import FileChangedError, SyncError
from airflow_provider_sync.files.objects import s3_api
from airflow_provider_sync.files.objects.object_storage import ObjectStorage
from airflow_provider_sync.files.objects.streams import READ_BYTES
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_writer import Metadata
from tests.files.conftest import get, put
from tests.files.objects.hostile_store import BUCKET, DENIED, HostileStore, Request, emptied

MIB = 1024 * 1024
LARGE = b"0123456789abcdef" * (11 * MIB // 16) + b"end"


@pytest.fixture
def store(server: HostileStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileStore]:
    """Give the server, honest and empty; an object above 5 MiB is copied in parts."""
    monkeypatch.setattr(s3_api, "_MAX_COPY_BYTES", 5 * MIB)
    monkeypatch.setattr(s3_api, "_COPIED_BYTES", 5 * MIB)
    with emptied(server) as store:
        yield store


@pytest.fixture
def storage(store: HostileStore) -> ObjectStorage:
    """Give a directory in it."""
    return ObjectStorage(store.filesystem, f"s3://{BUCKET}/root")


def copy(storage: ObjectStorage, metadata: Metadata, version: bytes | None = None) -> TreeEntry:
    """Copy ``a`` to ``b``."""
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.copy("b", "a", metadata, version=version)
        (entry,) = writer.commit()
    return entry


def metadata_of(store: HostileStore, path: str) -> dict[str, str]:
    """Return the metadata of an object."""
    found: dict[str, str] = store.filesystem.call_s3("head_object", Bucket=BUCKET, Key=f"root/{path}")["Metadata"]
    return found


def test_a_large_object_is_copied_in_parts(storage: ObjectStorage, store: HostileStore) -> None:
    """The copy is complete, with the right metadata and time, and its entry equals that of a walk."""
    store.filesystem.pipe_file(f"{BUCKET}/root/a", LARGE, Metadata={"mtime": "7.5", "owner": "x"})
    version = storage.look_up("a").version
    kept = copy(storage, Metadata(), version)
    assert get(storage, "b") == LARGE
    assert metadata_of(store, "b") == {"mtime": "7.5", "owner": "x"}
    assert (kept.size, kept.version) == (len(LARGE), storage.look_up("b").version)
    copy(storage, Metadata(mtime_ns=1_000_000_000), version)
    assert metadata_of(store, "b") == {"mtime": "1.000000000"}
    assert store.uploads() == []


def test_a_large_object_that_changes_while_it_is_copied(storage: ObjectStorage, store: HostileStore) -> None:
    """A copy in parts is of one version or fails without leaving an object or parts."""
    put(storage, "a", LARGE)
    version = storage.look_up("a").version

    def replace(request: Request) -> Response | None:
        if request.query.get("partNumber") == "2":
            store.disturbance = refuse_other_version
            store.filesystem.pipe_file(f"{BUCKET}/root/a", LARGE[::-1])
            return refuse_other_version(request)
        return None

    def refuse_other_version(request: Request) -> Response | None:
        # The server (moto) does not check conditions of copies, which S3 does.
        wanted = request.headers.get("x_amz_copy_source_if_match", "").strip('"').encode()
        if "uploadId" in request.query and request.method == "PUT" and wanted == version:
            return Response("<Error><Code>PreconditionFailed</Code><Message>It changed.</Message></Error>", 412)
        return None

    store.disturbance = replace
    with pytest.raises(FileChangedError, match=r"'a' in .* changed since it was compared"):
        copy(storage, Metadata(), version)
    store.disturbance = lambda _: None
    assert store.uploads() == []
    assert [entry.path for entry in storage.walk()] == ["a"]


def test_a_copy_in_parts_that_fails(storage: ObjectStorage, store: HostileStore) -> None:
    """A denied part ends the copy, and the old object stays."""
    put(storage, "a", LARGE)
    put(storage, "b", b"old")
    store.disturbance = lambda request: DENIED if request.query.get("partNumber") == "3" else None
    with pytest.raises(SyncError):
        copy(storage, Metadata())
    store.disturbance = lambda _: None
    assert store.uploads() == []
    assert get(storage, "b") == b"old"


@pytest.mark.parametrize("size", [0, 1, READ_BYTES, READ_BYTES + 1, 2 * READ_BYTES])
def test_a_large_upload_knows_what_it_made(storage: ObjectStorage, store: HostileStore, size: int) -> None:
    """The entry of an uploaded object comes from the upload, without another request."""
    data = LARGE * 2
    store.requests.clear()
    with storage.writer(may_replace=lambda path: False) as writer:
        new_file = writer.create("a", size=size, metadata=Metadata(mtime_ns=7_000_000_000))
        new_file.write(data[: size // 3])
        new_file.write(data[size // 3 : size])
        new_file.finish()
        (entry,) = writer.commit()
    assert {method for method, _ in store.requests} <= {"POST", "PUT"}
    assert (entry.path, entry.size, entry.version) == ("a", size, storage.look_up("a").version)
    assert metadata_of(store, "a") == {"mtime": "7.000000000"}
    assert get(storage, "a") == data[:size]
    assert store.uploads() == []

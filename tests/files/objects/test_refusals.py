"""What a store refuses: single objects, names, and what only saves money."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from werkzeug.wrappers import Response

from airflow_provider_sync.exceptions import FileError, SyncError, TransportError
from airflow_provider_sync.files.objects import object_storage
from airflow_provider_sync.files.objects.object_storage import ObjectStorage
from airflow_provider_sync.files.tree_writer import Metadata
from tests.files.conftest import get, put
from tests.files.objects.hostile_store import BUCKET, DENIED, HostileStore, Request, emptied

PLAIN = Metadata()


@pytest.fixture
def store(server: HostileStore) -> Iterator[HostileStore]:
    """Give the server, honest and empty."""
    with emptied(server) as store:
        yield store


@pytest.fixture
def storage(store: HostileStore) -> ObjectStorage:
    """Give a directory in it."""
    return ObjectStorage(store.filesystem, f"s3://{BUCKET}/root")


def refusal(code: str, status: int) -> Response:
    """Return what a store answers to a request that it refuses."""
    return Response(f"<Error><Code>{code}</Code><Message>No.</Message></Error>", status)


def paths(storage: ObjectStorage) -> list[str]:
    """Return what is there."""
    return [entry.path for entry in storage.walk()]


@pytest.mark.parametrize(
    ("code", "status"), [("KeyTooLongError", 400), ("EntityTooLarge", 400), ("InvalidArgument", 400), ("AccessDenied", 403)]
)
def test_an_object_that_is_refused_keeps_no_other_back(
    storage: ObjectStorage, store: HostileStore, code: str, status: int
) -> None:
    """A refused object is named with a permanent error, and all others are written."""
    store.disturbance = lambda request: refusal(code, status) if request.key == "root/b" else None
    failed: dict[str, FileError] = {}
    with storage.writer(may_replace=lambda path: False, on_failure=failed.__setitem__) as writer:
        for path in "abc":
            writer.put(path, b"x", PLAIN)
    assert list(failed) == ["b"]
    assert str(failed["b"]).startswith(f"Cannot write 'b' in s3://{BUCKET}/root: ")
    assert not failed["b"].retryable
    assert "again" not in str(failed["b"])
    assert ".." not in str(failed["b"])
    assert paths(storage) == ["a", "c"]


def test_a_store_that_is_full_ends_the_writes(storage: ObjectStorage, store: HostileStore) -> None:
    """A refusal that concerns all objects is one error, at once."""
    store.disturbance = lambda request: refusal("QuotaExceeded", 403) if request.method == "PUT" else None
    failed: dict[str, FileError] = {}
    with storage.writer(may_replace=lambda path: False, on_failure=failed.__setitem__) as writer:
        for number in range(5):
            writer.put(f"{number}", b"x", PLAIN)
        with pytest.raises(FileError, match="QuotaExceeded"):
            writer.commit()
    assert failed == {}


@pytest.mark.parametrize(
    ("code", "status"),
    [("OperationAborted", 409), ("RequestTimeout", 400), ("NotImplemented", 501), ("XMinioStorageFull", 507)],
)
def test_what_may_pass_may_be_tried_again(storage: ObjectStorage, store: HostileStore, code: str, status: int) -> None:
    """Failures that are not refusals of the request are transient."""
    store.disturbance = lambda request: refusal(code, status) if request.method == "PUT" else None
    with pytest.raises(TransportError), storage.writer(may_replace=lambda path: False) as writer:
        writer.put("a", b"x", PLAIN)


@pytest.mark.parametrize("name", ["a\x01b", "a\rb", "a\x7fb", "a&<b", "a\ufffeb", "a\x85\u2028b", "+ %20?#", "\U0001f600"])
def test_objects_of_any_name_come_and_go(storage: ObjectStorage, name: str) -> None:
    """A name that XML cannot hold is written, copied and removed, and does not stop other removals."""
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.put(name, b"x", PLAIN)
        writer.put("z", b"x", PLAIN)
    assert paths(storage) == sorted([name, "z"])
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.copy(f"y/{name}", name, PLAIN)
        writer.commit()
        writer.remove(name)
        writer.remove("z")
    assert paths(storage) == [f"y/{name}"]
    assert get(storage, f"y/{name}") == b"x"


@pytest.mark.parametrize("refused", ["list", "abort"])
def test_unfinished_uploads_may_stay(
    storage: ObjectStorage, store: HostileStore, refused: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A user who may not list or abort uploads can sync; the log says which uploads remain."""
    monkeypatch.setattr(object_storage, "MIN_UPLOAD_AGE", 0)
    store.filesystem.call_s3("create_multipart_upload", Bucket=BUCKET, Key="root/a")

    def disturb(request: Request) -> Response | None:
        wanted = {"list": ("GET", "uploads"), "abort": ("DELETE", "uploadId")}[refused]
        return DENIED if request.method == wanted[0] and wanted[1] in request.query else None

    store.disturbance = disturb
    assert storage.clean(0) == 0
    assert "Cannot give up unfinished uploads" in caplog.text
    assert "let a rule of the bucket remove unfinished uploads" in caplog.text


def test_an_upload_that_somebody_else_gave_up(
    storage: ObjectStorage, store: HostileStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An upload that another program aborted is no error, and the others are aborted."""
    monkeypatch.setattr(object_storage, "MIN_UPLOAD_AGE", 0)
    for key in ("root/a", "root/b"):
        store.filesystem.call_s3("create_multipart_upload", Bucket=BUCKET, Key=key)

    def disturb(request: Request) -> Response | None:
        if request.method == "DELETE" and request.key == "root/a":
            request.answer()
            return refusal("NoSuchUpload", 404)
        return None

    store.disturbance = disturb
    assert storage.clean(0) == 2
    assert store.uploads() == []
    assert caplog.text == ""


def test_many_unfinished_uploads(storage: ObjectStorage, store: HostileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads are listed page by page, and only those below the root."""
    monkeypatch.setattr(object_storage, "MIN_UPLOAD_AGE", 0)
    uploads = [
        {"Key": f"root/{number}", "UploadId": f"id{number}", "Initiated": "2026-11-28T08:15:46.000Z"} for number in range(3)
    ]
    asked: list[dict[str, str]] = []
    aborted: list[str] = []

    def page(request: Request) -> Response | None:
        if request.method == "DELETE":
            aborted.append(request.query["uploadId"])
            return Response("", 204)
        if "uploads" not in request.query:
            return None
        asked.append(request.query)
        number = len(asked) - 1
        fields = "".join(f"<{name}>{value}</{name}>" for name, value in uploads[number].items())
        more = "true" if number < 2 else "false"
        return Response(
            f"<ListMultipartUploadsResult><IsTruncated>{more}</IsTruncated><NextKeyMarker>root/{number}</NextKeyMarker>"
            f"<NextUploadIdMarker>id{number}</NextUploadIdMarker><Upload>{fields}</Upload></ListMultipartUploadsResult>",
            content_type="application/xml",
        )

    store.disturbance = page
    assert storage.clean(0) == 3
    assert aborted == ["id0", "id1", "id2"]
    assert [request["prefix"] for request in asked] == ["root/"] * 3
    assert [request.get("key-marker") for request in asked] == [None, "root/0", "root/1"]


def test_a_bucket_without_permission_to_list_is_an_error(storage: ObjectStorage, store: HostileStore) -> None:
    """A target that cannot be listed does not count as empty."""
    put(storage, "a")
    store.disturbance = lambda request: None if request.key else DENIED
    with pytest.raises(SyncError, match="Check the credentials"):
        list(storage.walk(missing_ok=True))

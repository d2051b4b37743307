"""What Google Cloud Storage refuses, which gcsfs tells in several ways."""

from __future__ import annotations

import io
from typing import Any

import pytest
from fsspec import AbstractFileSystem

from airflow_provider_sync.exceptions import FileError, TransportError
from airflow_provider_sync.files.objects.object_storage import ObjectStorage
from airflow_provider_sync.files.tree_writer import Metadata
from tests.files.conftest import put

PLAIN = Metadata()


@pytest.fixture
def storage(gcs: AbstractFileSystem) -> ObjectStorage:
    """Give an empty directory."""
    return ObjectStorage(gcs, "gcs://bucket/root")


def refuse(gcs: AbstractFileSystem, monkeypatch: pytest.MonkeyPatch, name: bytes, status: int, message: str) -> None:
    """Have the client answer requests about one object as it answers a status of the store."""
    # Not before the fixture has set what gcsfs reads when it is imported.
    from gcsfs.retry import validate_response

    call = gcs.call

    def answer(method: str, path: str, *names: str, **arguments: Any) -> Any:
        body = arguments.get("data")
        if isinstance(body, io.BytesIO) and b'"root/%s"' % name in body.getvalue():
            validate_response(status, b'{"error": {"code": %d, "message": "%s"}}' % (status, message.encode()), path)
        if method == "DELETE" and names[-1].encode() == b"root/" + name:
            validate_response(status, b'{"error": {"code": %d, "message": "%s"}}' % (status, message.encode()), path)
        return call(method, path, *names, **arguments)

    monkeypatch.setattr(gcs, "call", answer)


@pytest.mark.parametrize(
    ("status", "message"), [(403, "You may not."), (400, "The name is invalid."), (400, "The name is too long.")]
)
def test_an_object_that_is_refused_keeps_no_other_back(
    storage: ObjectStorage, gcs: AbstractFileSystem, monkeypatch: pytest.MonkeyPatch, status: int, message: str
) -> None:
    """A refused object is named with a permanent error, and all others are written."""
    refuse(gcs, monkeypatch, b"b", status, message)
    failed: dict[str, FileError] = {}
    with storage.writer(may_replace=lambda path: False, on_failure=failed.__setitem__) as writer:
        for path in "abc":
            writer.put(path, b"x", PLAIN)
    assert list(failed) == ["b"]
    assert message in str(failed["b"])
    assert not failed["b"].retryable
    assert [entry.path for entry in storage.walk()] == ["a", "c"]


def test_an_object_that_may_not_be_deleted(
    storage: ObjectStorage, gcs: AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A denied delete is a permanent error that names the object."""
    put(storage, "a")
    refuse(gcs, monkeypatch, b"a", 403, "You may not.")
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.remove("a")
        with pytest.raises(FileError, match=r"(?s)Cannot delete 'a' in .*You may not") as failure:
            writer.commit()
    assert not failure.value.retryable


def test_other_errors_may_pass(storage: ObjectStorage, gcs: AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary failures of the store are transient errors."""
    from gcsfs.retry import HttpError

    def fail(*_: object, **__: object) -> None:
        raise HttpError({"code": 409, "message": "A conflict."})

    monkeypatch.setattr(gcs, "call", fail)
    with pytest.raises(TransportError, match="A conflict"):
        list(storage.walk())

"""Copies inside Google Cloud Storage, of objects that change meanwhile: of one version, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fsspec import AbstractFileSystem

from airflow_provider_sync.exceptions import FileChangedError, FileError
from airflow_provider_sync.files.objects.object_storage import ObjectStorage
from airflow_provider_sync.files.tree_writer import Backup, Metadata
from tests.files.conftest import get, put

PLAIN = Metadata()
LONG_AGO = Metadata(1_000_000_000_123_456_789)


class Precondition(Exception):
    """How gcsfs tells that a condition of a request does not hold."""

    code = 412


@pytest.fixture
def strict_gcs(gcs: AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Have copies keep to their conditions, which the server of the tests does not; give what is done before a copy."""
    before: list[Callable[[], None]] = []
    call = gcs.call

    def strict(method: str, path: str, *names: str, **arguments: Any) -> Any:
        if "rewriteTo" in path:
            while before:
                before.pop()()
            for condition, key in (("ifSourceGenerationMatch", names[1]), ("ifGenerationMatch", names[3])):
                wanted = arguments.pop(condition, None)
                if wanted is not None and call("GET", "b/{}/o/{}", "bucket", key, json_out=True)["generation"] != wanted:
                    raise Precondition
        return call(method, path, *names, **arguments)

    monkeypatch.setattr(gcs, "call", strict)
    return before


@pytest.mark.parametrize("what", ["copy", "copy of a version", "metadata"])
def test_copies_on_google_are_of_one_version(gcs: AbstractFileSystem, strict_gcs: list[Callable[[], None]], what: str) -> None:
    """An object that changes right before its copy, or gets other metadata, is not copied."""
    storage = ObjectStorage(gcs, "gcs://bucket/root")
    put(storage, "a", b"one")
    version = storage.look_up("a").version
    failed: dict[str, FileError] = {}
    with storage.writer(may_replace=lambda path: False, on_failure=failed.__setitem__) as writer:
        strict_gcs.append(lambda: gcs.pipe_file("bucket/root/a", b"other"))
        if what == "metadata":
            with pytest.raises(FileChangedError, match="changed since"):
                writer.set_metadata("a", LONG_AGO)
        else:
            writer.copy("x", "a", PLAIN, version=version if what == "copy of a version" else None)
        assert writer.commit() == []
    assert list(failed) == ([] if what == "metadata" else ["x"])
    assert {entry.path: get(storage, entry.path) for entry in storage.walk()} == {"a": b"other"}


def test_a_copy_on_google_is_the_version_that_was_made(gcs: AbstractFileSystem, strict_gcs: list[Callable[[], None]]) -> None:
    """If a copy is replaced right after its creation, the returned version is still the copy's."""
    storage = ObjectStorage(gcs, "gcs://bucket/root")
    put(storage, "a", b"one")
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.copy("x", "a", PLAIN)
        (entry,) = writer.commit()
    assert entry == storage.look_up("x")


def test_a_backup_on_google_is_of_what_is_replaced(gcs: AbstractFileSystem, strict_gcs: list[Callable[[], None]]) -> None:
    """If an object changes right before its backup, the new content is backed up."""
    storage = ObjectStorage(gcs, "gcs://bucket/root")
    put(storage, "a", b"one")
    with storage.writer(may_replace=lambda path: False, backup=Backup("kept")) as writer:
        strict_gcs.append(lambda: gcs.pipe_file("bucket/root/a", b"other"))
        writer.put("a", b"new", PLAIN)
    assert sorted(get(storage, entry.path) for entry in storage.walk()) == [b"new", b"other"]

"""Storages behind paths, URLs and connections."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_sync.airflow_support.storage_connections import storage_from_path
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.tree_writer import Metadata
from tests.airflow_runs import in_any_process


def content(storage: Storage) -> dict[str, bytes]:
    """Return what a storage holds."""
    found = {}
    for entry in storage.scan():
        with storage.open_version(entry.path) as opened:
            found[entry.path] = opened.file.read()
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a local folder with one file."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_bytes(b"local")
    return tmp_path / "files"


def test_local_paths(folder: Path) -> None:
    """Text, a path, a file URL and an object storage path of the local disk all mean the same folder."""
    for path in (str(folder), folder, f"file://{folder}", ObjectStoragePath(f"file://{folder}"), ObjectStoragePath(str(folder))):
        assert content(storage_from_path(path)) == {"a.txt": b"local"}


def test_object_storage_with_connection(bucket: str) -> None:
    """A URL, an object storage path and a connection beside the URL lead to the same objects, with its credentials."""
    for storage in (
        storage_from_path(f"s3://store@{bucket}/all"),
        storage_from_path(ObjectStoragePath(f"s3://store@{bucket}/all")),
        storage_from_path(ObjectStoragePath(f"s3://{bucket}/all", conn_id="store")),
    ):
        assert content(storage) == {"a.txt": b"stored"}


@in_any_process
def test_missing_connection() -> None:
    """A URL whose connection is not defined is an error, not access without credentials."""
    with pytest.raises(ConfigurationError, match=r"nowhere.*Add the connection"):
        storage_from_path("s3://nowhere@company/all")


def test_storage_without_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to a kind of storage that no provider serves is refused, saying what to install."""
    monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps({"conn_type": "generic"}))
    with pytest.raises(ConfigurationError, match="No provider for memory:// is installed"):
        storage_from_path("memory://store@company/all")


def test_storage_that_only_fsspec_knows() -> None:
    """A URL without a connection may be of any kind that fsspec knows."""
    storage = storage_from_path("memory://only-fsspec/all")
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.put("a.txt", b"remembered", Metadata())
    assert content(storage_from_path("memory://only-fsspec/all")) == {"a.txt": b"remembered"}

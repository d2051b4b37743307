"""Storages behind paths, URLs and connections."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_sync.airflow_support.storage_connections import storage_from_path
from airflow_provider_sync.exceptions import ConfigurationError, TransportError
from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.tree_writer import Metadata
from airflow_provider_sync.hooks.sync_server import SyncServerHook
from tests.airflow_runs import in_any_process

_PASSWORD = "tulip-garden"  # apart from the lines that use it, which a traceback quotes


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


@pytest.mark.parametrize(
    "url", ["unknown://company/all", pytest.param("unknown://store@company/all", marks=in_any_process), "http://[company/all"]
)
def test_unknown_storage(url: str) -> None:
    """A URL that neither Airflow nor fsspec knows is a wrong argument, not an error to report."""
    with pytest.raises(ConfigurationError, match=r"Give a path or another URL\.$"):
        storage_from_path(url)


@in_any_process
def test_a_password_is_no_connection() -> None:
    """The user and password of a URL go to fsspec, as on the command line, and no error has the password."""
    with pytest.raises(TransportError, match=r"No answer from ftp://127\.0\.0\.1: ") as caught:
        storage_from_path(f"ftp://user:{_PASSWORD}@127.0.0.1:1/all")
    assert _PASSWORD not in "".join(traceback.format_exception(caught.value))


@in_any_process
def test_what_is_no_connection_is_not_in_the_traceback() -> None:
    """A URL that is given as the id of a connection is shown without its password, also in the traceback."""
    with pytest.raises(ConfigurationError) as caught:
        SyncServerHook(f"https://:{_PASSWORD}@source.example").get_config()
    assert "source.example" in str(caught.value)
    assert _PASSWORD not in "".join(traceback.format_exception(caught.value))


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

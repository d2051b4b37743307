"""Directories in object storage: what an unchanged one costs, and what a report says of deletes that are denied."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.wrappers import Response

from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.files import open_storage
from airflow_provider_sync.files.local import entries as local_entries
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync import sync_directory
from airflow_provider_sync.sync.directories.version2.listings import LARGE_BYTES
from tests.files.conftest import get
from tests.files.objects.hostile_store import BUCKET, DENIED, HostileStore, Request, hostile_store
from tests.sync.directories.mirror import Mirror, target_directory

PATHS = ("a.txt", "a/b.txt", "deep/er/c.txt", "deep/er/d.txt", "deep/e.txt", "z")


@pytest.fixture
def store() -> Iterator[HostileStore]:
    """Give a store that counts requests."""
    with hostile_store() as store:
        yield store


@pytest.fixture(params=["source", "target"])
def mirror(request: pytest.FixtureRequest, store: HostileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """Give two directories, of which one is in the store and the other on a disk, where no file is racy."""
    monkeypatch.setattr(local_entries, "_FINE_NS", 0)
    monkeypatch.setattr(local_entries, "_COARSE_NS", 0)
    in_store, on_disk = open_storage(f"s3://{BUCKET}/root", store.filesystem), open_storage(str(tmp_path / "files"))
    sides = (in_store, on_disk) if request.param == "source" else (on_disk, in_store)
    return Mirror(*sides, cache=tmp_path / "cache.db")


def test_one_listing_of_each_side(mirror: Mirror, store: HostileStore) -> None:
    """The sync after one that wrote lists the store once, gets one line from the server, and reads no object."""
    for path in PATHS:
        mirror.put(path, f"content of {path}")
    mirror.put("large", "x" * (LARGE_BYTES + 1))
    with mirror.client() as client, mirror.opened_cache() as cache:

        def sync() -> tuple[str, int]:
            store.requests.clear()
            report = sync_directory(client, target_directory(), mirror.target, cache=cache)
            return report.status, report.requests

        assert sync()[0] == "changed"
        assert sync() == ("unchanged", 1)
        assert store.requests == [("GET", "")]

        mirror.put("deep/new/f.txt", "new")
        mirror.remove("deep/er/c.txt")
        assert sync()[0] == "changed"
        assert sync() == ("unchanged", 1)
        assert store.requests == [("GET", "")]
    mirror.assert_equal()


@pytest.mark.parametrize("denied", ["one", "all"])
def test_deletes_that_are_denied(store: HostileStore, tmp_path: Path, denied: str) -> None:
    """Objects that may not be deleted are named, all others are deleted and counted; the next sync continues."""
    mirror = Mirror(open_storage(str(tmp_path / "files")), open_storage(f"s3://{BUCKET}/root", store.filesystem))
    for path in ("a", "b", "c", "d"):
        mirror.put(path)
    mirror.sync()
    for path in ("a", "b", "c"):
        mirror.remove(path)

    def disturb(request: Request) -> Response | None:
        if "delete" not in request.query:
            return None
        if denied == "all":
            return DENIED
        store.disturbance = lambda _: None
        answer = request.answer()
        # As if the policy of the bucket kept it.
        store.filesystem.pipe_file(f"{BUCKET}/root/b", b"content")
        refused = "<Error><Key>root/b</Key><Code>AccessDenied</Code><Message>No</Message></Error>"
        assert answer.status_code == 200
        return Response(f"<DeleteResult>{refused}</DeleteResult>", content_type="application/xml")

    store.disturbance = disturb
    named, deleted = ("'b'", 2) if denied == "one" else ("'a', 'b', 'c'", 0)
    with pytest.raises(SyncFailed, match=f"{named} of directory .* could not be synced") as failure:
        mirror.sync()
    (report,) = failure.value.reports
    assert isinstance(report, DirectoryReport)
    assert report.files_deleted == deleted
    store.disturbance = lambda _: None
    assert mirror.sync().files_deleted == 3 - deleted
    mirror.assert_equal()


@pytest.mark.parametrize("protocol", ["1", "2"])
@pytest.mark.parametrize("side", ["source", "target"])
def test_content_under_the_name_of_a_folder(store: HostileStore, tmp_path: Path, side: str, protocol: str) -> None:
    """An object with content whose key ends in a slash is named, and everything else in its folder is synced."""
    in_store, on_disk = open_storage(f"s3://{BUCKET}/root", store.filesystem), open_storage(str(tmp_path / "files"))
    sides = (in_store, on_disk) if side == "source" else (on_disk, in_store)
    mirror = Mirror(*sides, protocol=protocol)
    store.filesystem.call_s3("put_object", Bucket=BUCKET, Key="root/folder/", Body=b"content")
    mirror.put("folder/new")
    mirror.put("kept")
    mirror.put_target("folder/gone")
    options = {"max_deletes": 1}
    with pytest.raises(SyncFailed, match=r"The file name 'folder/' ends in '/'\."):
        mirror.sync(options)
    assert get(mirror.target, "folder/new") == b"content"
    report = mirror.sync({**options, "skip_unreadable": True})
    assert any("ends in '/'" in warning for warning in report.warnings)
    paths = [entry.path for entry in mirror.target.walk(on_unreadable=lambda *_: None) if entry.kind == "file"]
    assert paths == ["folder/new", "kept"]

"""Requests for files below a path that is not offered."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.protocol.v2.file_messages import ChunkFile, ContentFailed, DigestFiles, Links, RequestedFile
from tests.server.directories.served_files import OLD_NS, make, read, serving
from tests.server.wire import ask, post

THERE, MISSING = "there.key/x", "gone0.key/x"
"""Paths of one length, below an excluded file that exists, and below one that does not."""


def site(root: Path, kind: str) -> None:
    """Make a directory in which the excluded path is a file or a link."""
    make(root, {"a": b"offered"})
    if kind == "file":
        (root / "there.key").write_bytes(b"secret")
    else:
        (root / "there.key").symlink_to("a")


@pytest.mark.parametrize("kind", ["file", "link"])
@pytest.mark.parametrize("links", ["skip", "keep", "follow"])
def test_version_2_does_not_tell_whether_an_excluded_file_exists(tmp_path: Path, links: Links, kind: str) -> None:
    """A request for a path below an excluded file has the same answer whether that file exists or not."""
    site(tmp_path, kind)
    told = []
    with serving(tmp_path, exclude=["*.key"]) as url, SyncClient(url, retries=0) as client:
        for path in (THERE, MISSING):
            with client.digest_files(DigestFiles(directory="d", paths=(path,), links=links)) as digests:
                digested = list(digests)
            (failed,) = read(client, RequestedFile(path=path, size=1, mtime_ns=OLD_NS), links=links)
            assert isinstance(failed, ContentFailed)
            chunked = ask(url, "/chunkFile", ChunkFile(directory="d", path=path, links=links))
            told.append(f"{digested} {failed.reason} {failed.message} {chunked.status} {chunked.body!r}")
    there, missing = told
    assert there.replace("there", "gone0") == missing
    assert " gone " in missing


@pytest.mark.parametrize("kind", ["file", "link"])
def test_version_1_does_not_tell_whether_an_excluded_file_exists(tmp_path: Path, kind: str) -> None:
    """The answer of version 1 to such a request does not show it, either."""
    site(tmp_path, kind)
    with serving(tmp_path, exclude=["*.key"]) as url:
        there, missing = (post(url, "/getFiles", {"config_name": "d", "files[]": path}) for path in (THERE, MISSING))
    assert (there.status, there.body.replace(b"there", b"gone0")) == (404, missing.body)


def test_an_offered_file_in_the_way_is_named(tmp_path: Path) -> None:
    """The error for a path below an offered file still says that a part of the path is no directory."""
    make(tmp_path, {"a": b"offered"})
    with serving(tmp_path, exclude=["*.key"]) as url:
        answer = post(url, "/getFiles", {"config_name": "d", "files[]": "a/x"})
    assert (answer.status, b"Not a directory" in answer.body) == (422, True)

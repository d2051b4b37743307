"""Many files of a local disk, opened one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import FileError, MissingFileError
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.storage import OpenVersion
from tests.open_files import open_files


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    """Give a directory with some files."""
    for path in ("1", "a/1", "a/2", "a/b/1", "c/1"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(path.encode())
    return LocalStorage(tmp_path)


@pytest.fixture
def open_version(storage: LocalStorage) -> Iterator[OpenVersion]:
    """Give the opener of the directory."""
    with storage.opener() as opener:
        yield opener


def test_files_of_any_directory_are_opened(storage: LocalStorage, open_version: OpenVersion) -> None:
    """In any order of directories, each file has the same content and entry as when it is opened alone."""
    for path in ("a/1", "a/2", "1", "a/b/1", "a/1", "c/1", "1"):
        with open_version(path) as opened, storage.open_version(path) as alone:
            assert opened.file.read() == path.encode()
            assert opened.entry == alone.entry
            assert opened.is_unchanged()


def test_a_change_is_seen(tmp_path: Path, open_version: OpenVersion) -> None:
    """Writing to an open file changes its version."""
    with open_version("a/1") as opened:
        (tmp_path / "a/1").write_bytes(b"longer than before")
        assert not opened.is_unchanged()


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("a/none", MissingFileError),
        ("none/1", MissingFileError),
        ("a", FileError),
        ("1/x", FileError),
        ("link", FileError),
        ("into/1", FileError),
        ("../x", FileError),
        ("a/../1", FileError),
    ],
)
def test_what_is_no_file_is_refused(tmp_path: Path, open_version: OpenVersion, path: str, error: type[FileError]) -> None:
    """Directories, links and paths that lead out are refused, and the next file can be opened."""
    (tmp_path / "link").symlink_to("1")
    (tmp_path / "into").symlink_to("a")
    with pytest.raises(error):
        open_version(path)
    with open_version("a/1") as opened:
        assert opened.file.read() == b"a/1"


def test_links_are_followed_on_request(tmp_path: Path, storage: LocalStorage) -> None:
    """With ``follow``, files behind links inside the directory are opened; a link out of it is an error of that file."""
    (tmp_path / "into").symlink_to("a")
    (tmp_path / "out").symlink_to("/etc/passwd")
    with storage.opener(links="follow") as open_version:
        with open_version("into/1") as opened:
            assert opened.file.read() == b"a/1"
        with pytest.raises(FileError, match=r"'out' in .* leads out of the directory"):
            open_version("out")


def test_a_missing_root_is_an_error_of_the_root(tmp_path: Path) -> None:
    """The message names the directory, not the file."""
    with LocalStorage(tmp_path / "none").opener() as open_version, pytest.raises(FileError, match="none: No such file") as caught:
        open_version("a")
    assert "'a'" not in str(caught.value)


def test_no_descriptors_are_left_open(storage: LocalStorage) -> None:
    """After the block, only the files themselves are open."""
    before = open_files()
    with storage.opener() as open_version:
        for path in ("a/1", "c/1", "a/b/1"):
            open_version(path).file.close()
    assert open_files() <= before

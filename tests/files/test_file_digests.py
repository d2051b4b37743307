"""The BLAKE3 of a file."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from blake3 import blake3

from airflow_provider_sync.exceptions import FileChangedError, FileError
from airflow_provider_sync.files.file_digests import digest_file
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.storage import VersionedFile

_SIZES = pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 3 * 1024 * 1024 + 7])


def _open(tmp_path: Path, size: int) -> VersionedFile:
    (tmp_path / "f").write_bytes(os.urandom(size))
    return LocalStorage(tmp_path).open_version("f")


@_SIZES
def test_a_file_of_any_size_is_digested(tmp_path: Path, size: int) -> None:
    """The digest covers all bytes of a file of any size."""
    with _open(tmp_path, size) as opened:
        assert digest_file(opened, "d") == blake3((tmp_path / "f").read_bytes()).digest()


@_SIZES
def test_a_change_meanwhile_is_an_error(tmp_path: Path, size: int) -> None:
    """A file that grows or changes while it is read is an error and gets no digest."""
    for write in (b"x", b"y" * 70_000):
        with _open(tmp_path, size) as opened:
            with (tmp_path / "f").open("ab") as file:
                file.write(write)
            with pytest.raises(FileChangedError, match="'f' in d changed"):
                digest_file(opened, "d")


@_SIZES
def test_it_stops_when_asked(tmp_path: Path, size: int) -> None:
    """A stop request ends the reading of a file of any size."""

    def check() -> None:
        raise KeyboardInterrupt

    with _open(tmp_path, size) as opened, pytest.raises(KeyboardInterrupt):
        digest_file(opened, "d", check=check)


class _Broken:
    def read(self, _: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    readinto = read


@_SIZES
def test_a_broken_disk_is_told(tmp_path: Path, size: int) -> None:
    """An error of the disk names the file and the directory."""
    with _open(tmp_path, size) as opened:
        broken = VersionedFile(cast("BinaryIO", _Broken()), opened.entry, opened.is_unchanged)
        with pytest.raises(FileError, match="Cannot read 'f' in d: Input/output error"):
            digest_file(broken, "d")

"""File names with backslashes, which Windows reads as separators of folders."""

from __future__ import annotations

import posixpath
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from s3fs import S3FileSystem

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files import open_storage
from tests.files.conftest import get, put, remove


class WindowsServer(MemoryFileSystem):
    """Files of a server with Windows, as ``sftp://`` shows them."""

    protocol = "sftp"

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return str(posixpath.normpath(super()._strip_protocol(path).replace("\\", "/")))


class Share(WindowsServer):
    """A share, as ``smb://`` shows it: the library itself replaces backslashes, and resolves ``..``."""

    protocol = "smb"


@pytest.mark.parametrize("server", [WindowsServer, Share])
@pytest.mark.parametrize("name", [r"..\secret", r"a\..\..\secret", r"\secret", r"folder/..\..\secret"])
def test_a_name_cannot_lead_out_of_the_root(memory: MemoryFileSystem, server: type[WindowsServer], name: str) -> None:
    """A name that leads elsewhere where backslashes separate folders is refused, and nothing is read, written or deleted."""
    memory.pipe("/share/secret", b"kept")
    memory.pipe("/share/root/folder/x", b"")
    storage = open_storage("/share/root", server(skip_instance_cache=True))
    for call in (storage.open_version, storage.read, lambda path: remove(storage, path), lambda path: put(storage, path, b"new")):
        with pytest.raises(FileError, match="Rename"):
            call(name)
    assert memory.find("/") == ["/share/root/folder/x", "/share/secret"]
    assert memory.cat("/share/secret") == b"kept"


def test_a_share_has_no_backslashes(memory: MemoryFileSystem) -> None:
    """``smb://`` would take a backslash for the separator of folders, so that the file would be another one."""
    storage = open_storage("/share/root", Share(skip_instance_cache=True))
    with pytest.raises(FileError, match=r"'a\\\\b' contains a backslash, which smb://share/root reads as the separator"):
        put(storage, r"a\b")
    assert memory.find("/") == []


def test_elsewhere_a_backslash_is_a_character(memory: MemoryFileSystem, s3: S3FileSystem) -> None:
    """Names with a backslash, as of systemd's units, are ordinary on other stores."""
    for storage in (open_storage("/bucket/root", memory), open_storage("s3://bucket/root", s3)):
        put(storage, r"disk-by\x2duuid", b"unit")
        assert get(storage, r"disk-by\x2duuid") == b"unit"
    put(open_storage("s3://bucket/root", s3), r"..\x", b"")
    assert sorted(s3.find("bucket")) == [r"bucket/root/..\x", r"bucket/root/disk-by\x2duuid"]

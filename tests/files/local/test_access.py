"""Nobody may use a new file or directory who could not use the one that it stands for."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.tree_writer import Backup, Metadata
from tests.files.local.writing import PLAIN

USER = 65534
ACL = "system.posix_acl_access"
DEFAULT_ACL = "system.posix_acl_default"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser gives files away")


def acl(*, group: int, named: int, mask: int) -> bytes:
    """Return an access control list: its owner may read and write, others nothing, one named user ``named``."""
    nobody = 0xFFFFFFFF
    entries = ((1, 6, nobody), (2, named, 1234), (4, group, nobody), (0x10, mask, nobody), (0x20, 0, nobody))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def give_acl(path: Path, value: bytes, name: str = ACL) -> None:
    """Give a file or directory an access control list, or skip the test."""
    try:
        os.setxattr(path, name, value)
    except OSError:
        pytest.skip("The file system has no access control lists")


def acl_of(path: Path) -> bytes | None:
    """Return the access control list of a file or directory, if it has one."""
    return os.getxattr(path, ACL) if ACL in os.listxattr(path) else None


def make(path: Path, mode: int, uid: int, gid: int) -> None:
    """Make a file of another user."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"old")
    os.chown(path, uid, gid)
    path.chmod(mode)


def access(path: Path) -> tuple[int, int, str]:
    """Return owner, group and permissions."""
    status = path.stat()
    return status.st_uid, status.st_gid, oct(stat.S_IMODE(status.st_mode))


@as_root
@pytest.mark.parametrize("is_moved", [False, True])
def test_another_group_gets_no_permissions(
    public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]], is_moved: bool
) -> None:
    """Where a replaced file's group cannot be kept, the group of the new file gets what everybody has."""
    make(public_root / "private", 0o640, USER, 2345)
    make(public_root / "public", 0o664, 1234, 2345)
    make(public_root / "moved", 0o600, USER, USER)
    change = 'writer.copy("private", "moved", Metadata(), move=True)' if is_moved else 'writer.put("private", b"new", Metadata())'
    code = f"""
        from airflow_provider_sync.files.tree_writer import Metadata
        with airflow_provider_sync.files.open_storage(sys.argv[1]).writer(may_replace=lambda path: False) as writer:
            {change}
            writer.put("public", b"new", Metadata())
        """
    assert run_as_user(code, str(public_root)).stderr == ""
    assert access(public_root / "private") == (USER, USER, "0o600")
    assert access(public_root / "public") == (USER, USER, "0o644")


@as_root
def test_a_group_of_the_process_is_kept(public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """A file keeps its group if this process is a member, even if its owner changes."""
    make(public_root / "file", 0o640, 1234, USER)
    public_root.joinpath("folder").mkdir()
    make(public_root / "folder" / "file", 0o640, 1234, USER)
    os.chown(public_root / "folder", USER, 2345)
    (public_root / "folder").chmod(0o2770)
    code = """
        from airflow_provider_sync.files.tree_writer import Metadata
        with airflow_provider_sync.files.open_storage(sys.argv[1]).writer(may_replace=lambda path: False) as writer:
            writer.put("file", b"new", Metadata())
            writer.put("folder/file", b"new", Metadata())
        """
    assert run_as_user(code, str(public_root)).stderr == ""
    assert access(public_root / "file") == access(public_root / "folder" / "file") == (USER, USER, "0o640")


@as_root
def test_an_atomic_sync_lets_in_nobody(public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Copies of files and directories of others give neither their group nor the rights of this process away."""
    root = public_root / "root"
    make(root / "setuid", 0o4755, 1234, 1234)
    make(root / "setgid", 0o2755, 1234, 2345)
    make(root / "private" / "file", 0o644, USER, 2345)
    for directory, mode in ((root, 0o755), (root / "private", 0o2750)):
        os.chown(directory, USER, 2345)
        directory.chmod(mode)
    code = """
        from airflow_provider_sync.files.tree_writer import Metadata
        storage = airflow_provider_sync.files.open_storage(sys.argv[1])
        with storage.exclusive(1), storage.atomic_copy() as copy, copy.writer(may_replace=lambda path: False) as writer:
            writer.put("new", b"new", Metadata())
        """
    outcome = run_as_user(code, str(root))
    assert outcome.stderr == ""
    assert access(root / "setuid") == (USER, USER, "0o755")
    assert access(root / "setgid") == (USER, USER, "0o755")
    assert access(root / "private")[2] in ("0o700", "0o2700")


@as_root
@pytest.mark.parametrize("is_link", [False, True])
def test_a_backup_lets_in_no_other_group(
    public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]], is_link: bool
) -> None:
    """A directory of the backup, or a copied file in it, is not open to a group for which the original was closed."""
    root = public_root / "root"
    # Only its owner may link it.
    make(root / "folder" / "file", 0o640 if is_link else 0o644, USER if is_link else 1234, 2345)
    for directory in (root, root / "folder"):
        os.chown(directory, USER, 2345)
        directory.chmod(0o750)
    code = """
        from airflow_provider_sync.files.tree_writer import Backup, Metadata
        with airflow_provider_sync.files.open_storage(sys.argv[1]).writer(
            may_replace=lambda path: False, backup=Backup(sys.argv[2])
        ) as writer:
            writer.put("folder/file", b"new", Metadata())
        """
    assert run_as_user(code, str(root), str(public_root / "backup")).stderr == ""
    (run,) = (public_root / "backup").iterdir()
    assert access(run) == access(run / "folder") == (USER, USER, "0o700")
    assert access(run / "folder" / "file") == ((USER, 2345, "0o640") if is_link else (USER, USER, "0o644"))


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="Linux")
def test_a_replaced_file_keeps_its_access_control_list(storage: LocalStorage, root: Path) -> None:
    """The bits of a mask do not become those of the group, nor does a default list let others in."""
    for name in ("listed", "large", "bits"):
        (root / name).write_bytes(b"old")
        (root / name).chmod(0o640)
    listed = acl(group=0, named=6, mask=6)
    give_acl(root / "listed", listed)
    give_acl(root / "large", listed)
    give_acl(root, acl(group=6, named=6, mask=6), DEFAULT_ACL)
    with storage.writer(may_replace=lambda path: False) as writer:
        for name in ("listed", "bits"):
            writer.put(name, b"new", PLAIN)
        new_file = writer.create("large", size=1, metadata=Metadata())
        new_file.write(b"x")
        new_file.finish()
    assert [acl_of(root / name) for name in ("listed", "large", "bits")] == [listed, listed, None]
    assert access(root / "bits")[2] == "0o640"


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="Linux")
def test_a_backup_has_the_access_control_lists_of_the_directory(storage: LocalStorage, root: Path, tmp_path: Path) -> None:
    """Neither the mask of a directory nor a default list of the backup's folder lets others into the backup."""
    (root / "listed").mkdir()
    (root / "bits").mkdir(mode=0o750)
    for name in ("listed", "bits"):
        (root / name / "file").write_bytes(b"old")
    listed = acl(group=0, named=5, mask=5)
    give_acl(root / "listed", listed)
    folder = tmp_path / "backup"
    folder.mkdir()
    give_acl(folder, acl(group=7, named=7, mask=7), DEFAULT_ACL)
    root.chmod(0o700)
    with storage.writer(may_replace=lambda path: False, backup=Backup(str(folder))) as writer:
        for name in ("listed", "bits"):
            writer.remove(f"{name}/file")
    (run,) = folder.iterdir()
    assert acl_of(run) is acl_of(run / "bits") is None
    assert (access(run)[2], access(run / "bits")[2]) == ("0o700", "0o750")
    # Its owner may enter in any case.
    assert acl_of(run / "listed") == listed.replace(struct.pack("<HHI", 1, 6, 0xFFFFFFFF), struct.pack("<HHI", 1, 7, 0xFFFFFFFF))

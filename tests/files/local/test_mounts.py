"""What the list of mounts tells of a directory: what its file system cannot keep, and what is mounted below."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_sync.files import open_storage
from airflow_provider_sync.files.local import mounts as mounts_of


@pytest.mark.parametrize(
    ("kind", "step"), [("vfat", 2_000_000_000), ("msdos", 2_000_000_000), ("ext4", 1), ("fuse.vfat-like", 1)]
)
def test_fat_keeps_even_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, step: int) -> None:
    """The type of the file system is that of the nearest mount above the directory."""
    device = tmp_path.stat().st_dev
    lines = [
        "22 1 0:1 / / rw,relatime shared:1 - vfat /dev/other rw",
        f"36 22 {os.major(device)}:{os.minor(device)} / {tmp_path} rw shared:2 master:1 - {kind} /dev/loop0 rw,errors=remount-ro",
    ]
    mounts = tmp_path / "mounts"
    mounts.write_text("\n".join(lines))
    monkeypatch.setattr(mounts_of, "MOUNTS", mounts)
    assert open_storage(str(tmp_path / "not/there/yet")).time_step_ns == step


@pytest.mark.parametrize(
    ("kind", "keeps"), [("vfat", False), ("msdos", False), ("exfat", False), ("ext4", True), ("ntfs3", True)]
)
def test_fat_keeps_no_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, keeps: bool) -> None:
    """FAT and exFAT have no permissions; others are tested."""
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mounts"
    mounts.write_text(f"1 2 {os.major(device)}:{os.minor(device)} / / rw - {kind} /dev/loop0 rw")
    monkeypatch.setattr(mounts_of, "MOUNTS", mounts)
    assert open_storage(str(tmp_path)).keeps_permissions is keeps


def test_mount_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount point is recognized by its whole path, with any characters, also through a link."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"1 2 0:9 / {tmp_path}/root/a\\040b rw - tmpfs none rw")
    monkeypatch.setattr(mounts_of, "MOUNTS", mounts)
    for name in ("root/a b", "root/a", "root/c/a b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("root")
    for root in ("root", "link"):
        storage = open_storage(str(tmp_path / root))
        assert [path for path in ("a b", "a", "c/a b", "gone") if storage.is_mount_point(path)] == ["a b"]


def test_the_root_of_the_system_is_a_mount_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a list of mounts, mount points are recognized by their device."""
    monkeypatch.setattr(mounts_of, "MOUNTS", tmp_path / "none")
    assert mounts_of.is_mount_point(Path("/"))
    assert not mounts_of.is_mount_point(tmp_path)


def test_other_systems_have_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a list of mounts, times count as exact, and permissions as kept."""
    monkeypatch.setattr(mounts_of, "MOUNTS", tmp_path / "none")
    assert mounts_of.time_step_ns(tmp_path) == 1
    assert mounts_of.keeps_permissions(tmp_path)

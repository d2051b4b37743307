"""File systems that keep times less exactly than they look."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_sync.files import open_storage
from airflow_provider_sync.files.local import time_steps


@pytest.mark.parametrize(
    ("kind", "step"), [("vfat", 2_000_000_000), ("msdos", 2_000_000_000), ("ext4", 1), ("fuse.vfat-like", 1)]
)
def test_fat_keeps_even_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, step: int) -> None:
    """The kind of the file system is that of the mount of the directory, or of the nearest one above it."""
    device = tmp_path.stat().st_dev
    lines = [
        "22 1 0:1 / / rw,relatime shared:1 - vfat /dev/other rw",
        f"36 22 {os.major(device)}:{os.minor(device)} / {tmp_path} rw shared:2 master:1 - {kind} /dev/loop0 rw,errors=remount-ro",
    ]
    mounts = tmp_path / "mounts"
    mounts.write_text("\n".join(lines))
    monkeypatch.setattr(time_steps, "MOUNTS", mounts)
    assert open_storage(str(tmp_path / "not/there/yet")).time_step_ns == step


def test_other_systems_have_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no list of mounts is, times count as exact."""
    monkeypatch.setattr(time_steps, "MOUNTS", tmp_path / "none")
    assert time_steps.time_step_ns(tmp_path) == 1

"""Removing whole directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.local.tree_removal import remove_tree
from airflow_provider_sync.files.tree_writer import Metadata
from tests.files.conftest import tree


def remove(root: Path, name: str) -> None:
    """Remove a directory in ``root``."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        remove_tree(descriptor, name)
    finally:
        os.close(descriptor)


def test_links_are_removed_and_not_followed(root: Path, tmp_path: Path) -> None:
    """Targets of links stay; a link or file in place of the directory, and a missing one, are errors."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_bytes(b"precious")
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "link").symlink_to(tmp_path / "outside")
    (root / "a" / "file").write_bytes(b"x")
    remove(root, "a")
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "file").write_bytes(b"x")
    for name in ("link", "file"):
        with pytest.raises(NotADirectoryError):
            remove(root, name)
    with pytest.raises(FileNotFoundError):
        remove(root, "missing")
    assert tree(tmp_path / "outside") == {"x": b"precious"}
    assert set(tree(root)) == {"link", "file"}


def test_the_deepest_trees(root: Path) -> None:
    """A tree that is deeper than Python's recursion limit is written, replaced and removed."""
    deep = "/".join("d" * 1100)
    storage = LocalStorage(root)
    with storage.writer(durable=False, may_replace=lambda path: False) as writer:
        writer.put(f"{deep}/x", b"x", Metadata())
    with (
        storage.exclusive(0),
        storage.atomic_copy(durable=False) as copy,
        copy.writer(durable=False, may_replace=lambda path: path == f"{deep}/x") as writer,
    ):
        writer.put(f"{deep}/y", b"y", Metadata())
        writer.commit()
        writer.remove(f"{deep}/y")
        writer.put("d", b"file", Metadata())
    assert tree(root) == {"d": b"file"}
    assert [path.name for path in root.parent.iterdir()] == [root.name]


def test_what_somebody_else_does_meanwhile(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that disappear during the removal are no error; new ones are."""
    for name in ("a/x/1", "a/y/2", "a/z"):
        (root / name).mkdir(parents=True)
    original = os.rmdir

    def empty(name: str, *, dir_fd: int) -> None:
        monkeypatch.undo()
        for path in (root / "a").glob("*/*"):
            path.rmdir()
        for path in (root / "a").iterdir():
            path.rmdir()
        original(name, dir_fd=dir_fd)

    def add(name: str, *, dir_fd: int) -> None:
        (root / "a" / "new").write_bytes(b"x")
        original(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", empty)
    remove(root, "a")
    assert tree(root) == {}
    (root / "a").mkdir()
    monkeypatch.setattr(os, "rmdir", add)
    with pytest.raises(OSError, match="Directory not empty"):
        remove(root, "a")

"""Directories that stay open while files are written to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_sync.files.local import open_directories
from airflow_provider_sync.files.local.open_directories import OpenDirectories, refuse


@pytest.fixture
def directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenDirectories]:
    """Give the directories below a root, of which few stay open."""
    monkeypatch.setattr(open_directories, "MAX_OPEN", 2)
    root = os.open(tmp_path, os.O_RDONLY)
    opened = OpenDirectories(root, refuse, durable=False)
    yield opened
    opened.close()
    os.close(root)


def _is_new(directories: OpenDirectories, path: str) -> bool:
    directory = directories.use(path)
    directories.release(directory)
    return directory.is_new


def test_directories_that_were_made_are_new_when_they_are_opened_again(directories: OpenDirectories, tmp_path: Path) -> None:
    """Created directories count as new, also after many others were opened."""
    (tmp_path / "old").mkdir()
    paths = [f"d{number}/below" for number in range(5)]
    assert [_is_new(directories, path) for path in (*paths, "old")] == [True] * 5 + [False]
    assert [_is_new(directories, path) for path in (*paths, "old")] == [True] * 5 + [False]


def test_a_directory_in_the_place_of_one_that_was_made_is_not_new(directories: OpenDirectories, tmp_path: Path) -> None:
    """A replaced directory does not count as new, because it may have files."""
    for path in ("a", "b", "c", "d"):
        assert _is_new(directories, path)
    (tmp_path / "other").mkdir()
    (tmp_path / "a").rmdir()
    (tmp_path / "other").rename(tmp_path / "a")
    assert not _is_new(directories, "a")


def test_a_directory_that_was_forgotten_is_not_new(directories: OpenDirectories) -> None:
    """A removed or moved directory does not count as new."""
    assert _is_new(directories, "a")
    directories.forget("a")
    assert not _is_new(directories, "a")


def test_only_so_many_are_known_to_be_new(directories: OpenDirectories, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of remembered new directories is limited."""
    monkeypatch.setattr(open_directories, "MAX_NEW", 3)
    paths = [f"d{number}" for number in range(6)]
    assert all(_is_new(directories, path) for path in paths)
    assert [_is_new(directories, path) for path in paths] == [True] * 3 + [False] * 3

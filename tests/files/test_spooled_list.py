"""Lists that move to disk above a bound."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files import spooled_list
from airflow_provider_sync.files.spooled_list import SpooledList
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.protocol.v2.file_messages import path_order
from tests.open_files import open_files


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let seven values be many."""
    monkeypatch.setattr(spooled_list, "MAX_IN_MEMORY", 7)
    monkeypatch.setattr(spooled_list, "BLOCK", 3)


def entries(count: int) -> list[TreeEntry]:
    """Give entries in no order."""
    return [TreeEntry(path=f"{number * 37 % 101}/x", kind="file", size=number, version=b"v") for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 50])
def test_values_come_back(count: int) -> None:
    """Values are read back unchanged, in their order, any number of times."""
    with SpooledList(TreeEntry) as spooled:
        spooled.extend(entries(count))
        assert len(spooled) == count
        assert list(spooled) == list(spooled) == entries(count)


@pytest.mark.parametrize("count", [0, 5, 50])
def test_values_come_back_sorted(count: int) -> None:
    """With a sort order, values that were appended in any order are read back sorted."""
    with SpooledList(TreeEntry, order=lambda entry: path_order(entry.path)) as spooled:
        spooled.extend(entries(count))
        assert list(spooled) == sorted(entries(count), key=lambda entry: path_order(entry.path))


def test_nothing_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file has no name and is gone when the list is closed or the process is killed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = open_files()
    with SpooledList(TreeEntry) as spooled:
        spooled.extend(entries(20))
        assert len(open_files() - before) == 1
        assert list(tmp_path.iterdir()) == []
    assert open_files() <= before


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is an error that names the folder."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with SpooledList(TreeEntry) as spooled, pytest.raises(FileError, match=f"a list of files in {tempfile.gettempdir()}.*space"):
        spooled.extend(entries(20))

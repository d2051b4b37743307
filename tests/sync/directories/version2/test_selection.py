"""What the options of a directory make of a sync: which files, what counts as a difference, and what is not done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.files import Storage, open_storage
from airflow_provider_sync.sync.directories.version2.plan import Rules
from airflow_provider_sync.sync.directories.version2.selection import ignored_actions, rules_for, scope_of, selection_of
from tests.sync.directories.mirror import target_directory


@pytest.fixture
def disk(tmp_path: Path) -> Storage:
    """Give a folder."""
    return open_storage(str(tmp_path))


@pytest.fixture
def store() -> Storage:
    """Give an object store, in memory."""
    return open_storage("memory://bucket/folder")


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ({}, Rules()),
        ({"hasher": "none"}, Rules(checksum="never")),
        ({"hasher": "none", "checksum": "always"}, Rules(checksum="always")),
        ({"mtime": False, "permissions": True}, Rules(mtime=False, permissions=True)),
        ({"include": ["*.txt"]}, Rules(directories=False)),
    ],
)
def test_differences(disk: Storage, options: dict[str, Any], rules: Rules) -> None:
    """Options decide what is a difference; with patterns, empty directories are not."""
    assert rules_for(target_directory(options), disk) == rules


def test_differences_of_an_object_store(store: Storage) -> None:
    """Times, permissions and directories are no differences for an object store."""
    directory = target_directory({"permissions": True})
    assert rules_for(directory, store) == Rules(mtime=False)
    assert ignored_actions(directory, store) == {"same", "left", "make_directory", "remove_directory"}


def test_what_is_not_done(disk: Storage) -> None:
    """Without deletes, nothing is removed."""
    assert ignored_actions(target_directory(), disk) == {"same", "left"}
    assert ignored_actions(target_directory({"delete": False}), disk) == {"same", "left", "removed", "remove_directory"}


@pytest.mark.parametrize(("backup", "left_out"), [(None, False), ("old [x]*", True), ("/elsewhere", False)])
def test_backups_are_left_out(disk: Storage, backup: str | None, left_out: bool) -> None:
    """A backup folder inside the directory is not synced, with any name; its neighbours are."""
    options = {"exclude": ["*.tmp"], **({"backup": backup} if backup else {})}
    selection = selection_of(target_directory(options), disk)
    assert selection.selects("old [x]*/file") is not left_out
    assert selection.selects("old x/file")
    assert not selection.selects("a.tmp")


def test_a_scope_is_of_its_patterns() -> None:
    """Patterns and kept links change the scope of the cache; other options do not."""
    options = ({}, {"include": ["x"]}, {"exclude": ["x"]}, {"links": "keep"})
    assert len({scope_of(target_directory(option)) for option in options}) == 4
    assert scope_of(target_directory({"links": "follow", "delete": False})) == scope_of(target_directory())

"""Directories of which parts, or all, go or become something else while they are synced."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.files.file_errors import is_about_one_file
from tests.sync.directories.mirror import Mirror
from tests.sync.directories.test_interruptions import ONE_BY_ONE, AfterFirst


@pytest.fixture
def three(folders_of_version1: Mirror) -> Mirror:
    """Give three new files, one that is equal, and one that only the target has."""
    for name in ("a", "b", "c"):
        folders_of_version1.put(name, "new")
    folders_of_version1.put("same")
    folders_of_version1.put_target("same")
    folders_of_version1.put_target("z")
    return folders_of_version1


def test_a_source_that_vanishes(three: Mirror) -> None:
    """If the source's folder disappears during a sync, it is an error, and nothing is deleted."""
    with pytest.raises(SyncFailed):
        three.sync(ONE_BY_ONE, progress=AfterFirst(lambda: shutil.rmtree(three.source.location)))
    assert three.contents() == {"a": "new", "same": "content", "z": "content"}


def test_a_target_that_vanishes(three: Mirror) -> None:
    """If the target's folder is removed during a sync, it is a transient error."""
    with pytest.raises(SyncFailed, match="was removed or replaced during the sync") as failure:
        three.sync(ONE_BY_ONE, progress=AfterFirst(lambda: shutil.rmtree(three.target.location)))
    assert failure.value.retryable
    three.sync()
    three.assert_equal()


def file_becomes_directory(mirror: Mirror) -> None:
    """Put a directory in the place of a file of the source."""
    mirror.remove("c")
    mirror.put("c/d", "new")


def directory_becomes_link(mirror: Mirror) -> None:
    """Put a link in the place of a file of the source, which is not followed."""
    path = Path(mirror.source.location) / "c"
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("change", [file_becomes_directory, directory_becomes_link])
def test_a_file_that_becomes_something_else(three: Mirror, change: Callable[[Mirror], None]) -> None:
    """A file of the source that becomes another kind is left out, and the rest is synced."""
    report = three.sync(ONE_BY_ONE, progress=AfterFirst(lambda: change(three)))
    assert (report.status, report.files_added, report.files_deleted) == ("changed", 2, 1)
    assert three.contents() == {"a": "new", "b": "new", "same": "content"}
    three.sync()
    three.assert_equal()


def test_a_target_in_which_others_write(three: Mirror) -> None:
    """Another program's file in the way stays and is named; its other files are left to the next run."""

    def write() -> None:
        three.put_target("b/of somebody", "kept")
        three.put_target("new of somebody", "kept")

    with pytest.raises(SyncFailed, match="'b' of directory 'd' could not be synced") as failure:
        three.sync(ONE_BY_ONE, progress=AfterFirst(write))
    assert "'b/of somebody'" in str(failure.value)
    assert three.contents() == {
        "a": "new",
        "b/of somebody": "kept",
        "c": "new",
        "new of somebody": "kept",
        "same": "content",
        "z": "content",
    }


@pytest.mark.parametrize(
    ("cause", "one"),
    [(PermissionError("denied"), True), (OSError("anything"), False), (OSError(28, "full"), False), (None, True)],
)
def test_what_is_about_one_file(cause: OSError | None, one: bool) -> None:
    """A missing permission is an error of one file, also from a store without an error number; a full disk is not."""
    assert is_about_one_file(cause) is one

"""Names of which the target's file system would keep only one."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import FileError, SyncFailed
from airflow_provider_sync.files.local import local_storage
from airflow_provider_sync.sync import sync_directory
from airflow_provider_sync.sync.directories.steps import compare_directory
from tests.sync.directories.mirror import Mirror, everything, target_directory


@pytest.fixture
def folders(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """Give a target whose file system ignores case, as far as it is asked."""
    folders.put("a/kept")
    folders.sync()
    monkeypatch.setattr(local_storage, "is_one_name", lambda root, path, other: path.casefold() == other.casefold())
    return folders


@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
@pytest.mark.parametrize(
    ("source", "target"),
    [(("a/new", "A/other"), ()), (("README", "readme"), ()), (("readme",), ("README",)), (("docs/x",), ("Docs/x",))],
    ids=["directories", "files", "renamed file", "renamed directory"],
)
def test_one_name_at_the_target_is_refused(
    folders: Mirror, source: tuple[str, ...], target: tuple[str, ...], steps: bool
) -> None:
    """Two names that clash at the target, of the source or of both sides, are named, and nothing is written or removed."""
    for path in source:
        folders.put(path)
    for path in target:
        folders.put_target(path)
    before = everything(Path(folders.target.location))
    with folders.client() as client, pytest.raises((FileError, SyncFailed), match="one name on the file system"):
        (compare_directory if steps else sync_directory)(client, target_directory(), folders.target)
    assert everything(Path(folders.target.location)) == before


def test_a_file_system_that_tells_them_apart_takes_both(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a case-sensitive file system, both files arrive, with a warning if the source has both."""
    monkeypatch.undo()
    folders.put("README")
    folders.put("readme")
    folders.put_target("GONE")
    folders.put("gone")
    report = folders.sync({"max_deletes": 1})
    (warning,) = report.warnings
    assert warning.startswith("'README' and 'readme' differ only in case")
    folders.assert_equal()


def test_the_file_system_is_tried(tmp_path: Path) -> None:
    """The check creates the names in the target or the nearest parent, and leaves nothing there."""
    (tmp_path / "root/a").mkdir(parents=True)
    storage = local_storage.LocalStorage(tmp_path / "root")
    for path, other in (("a/X", "a/x"), ("b/c/X", "b/c/x"), ("a/caf\u00e9", "a/cafe\u0301")):
        assert not storage.is_one_name(path, other)
    assert storage.is_one_name("a/x", "a/x")
    assert local_storage.LocalStorage(tmp_path / "none/below").is_one_name("a/x", "a/x")
    assert everything(tmp_path) == ["root", "root/a"]


def test_a_target_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    """If the target cannot be written to, the error says so."""
    storage = local_storage.LocalStorage(Path("/proc/self"))
    with pytest.raises(FileError, match="Cannot write"):
        storage.is_one_name("a", "A")

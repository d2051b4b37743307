"""All or nothing, while others change the old tree: what they did is not lost, and the sync fails if it would be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.local import atomic_tree
from airflow_provider_sync.files.local.atomic_tree import copy_name
from airflow_provider_sync.files.local.local_storage import LocalStorage
from tests.files.conftest import tree
from tests.files.local.changed_tree import CHANGED, change, old_tree


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    """A directory with some files."""
    return old_tree(root)


def _add(root: Path) -> None:
    (root / "dir" / "theirs").write_bytes(b"theirs")


def _add_directory(root: Path) -> None:
    (root / "dir" / "sub").mkdir()


def _remove(root: Path) -> None:
    (root / "dir" / "same").unlink()


def _replace(root: Path) -> None:
    (root / "new").write_bytes(b"theirs")
    (root / "new").rename(root / "same")


def _rename(root: Path) -> None:
    (root / "dir").rename(root / "dir2")


def _replace_root(root: Path) -> None:
    root.rename(root.parent / "away")
    root.mkdir()
    (root / "theirs").write_bytes(b"theirs")


def _remove_root(root: Path) -> None:
    shutil.rmtree(root)


CHANGES_OF_OTHERS = [_add, _add_directory, _remove, _replace, _rename, _replace_root, _remove_root]


@pytest.mark.parametrize("theirs", CHANGES_OF_OTHERS)
@pytest.mark.parametrize("when", ["before the exchange", "at the exchange"])
def test_what_others_change_is_not_lost(
    storage: LocalStorage, root: Path, theirs: Callable[[Path], None], when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another program adds, removes or replaces files during a sync, it fails, and these changes stay."""
    original = atomic_tree.exchange
    left: list[dict[str, bytes | None]] = []

    def disturb() -> None:
        theirs(root)
        left.append(tree(root.parent))
        left[0].pop(copy_name(root.name), None)

    def exchange(one: str, other: str, *, directory: int) -> None:
        if not left:
            disturb()
        original(one, other, directory=directory)

    def run() -> None:
        with storage.exclusive(0), storage.atomic_copy() as copy:
            change(copy)
            if when == "before the exchange":
                disturb()
            else:
                monkeypatch.setattr(atomic_tree, "exchange", exchange)

    with pytest.raises(FileError, match=r"atomic: another process changed|was removed or replaced during the sync"):
        run()
    found = tree(root.parent)
    assert found == {path: content for path, content in left[0].items() if copy_name(root.name) not in path}
    monkeypatch.undo()
    root.mkdir(exist_ok=True)
    with storage.exclusive(0), storage.atomic_copy():
        pass


def test_what_others_write_into_files_is_kept(storage: LocalStorage, root: Path) -> None:
    """Writes to files that the sync does not change are kept, also through an open descriptor."""
    with (root / "same").open("ab") as log, storage.exclusive(0):
        with storage.atomic_copy() as copy:
            change(copy)
            log.write(b", more")
            log.flush()
        log.write(b", and more")
    assert tree(root) == {**CHANGED, "same": b"old, more, and more"}

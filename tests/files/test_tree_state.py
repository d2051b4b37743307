"""The state of a tree."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_state import TreeState

ENTRY = TreeEntry("file", "file", 7, 1, 0o644, b"version")


def state(*entries: TreeEntry) -> str | None:
    """The state of these entries."""
    taken = TreeState()
    for entry in entries:
        taken.add(entry)
    return taken.result()


def state_of(root: Path) -> str | None:
    """The state of a directory."""
    return state(*LocalStorage(root).walk(links="keep"))


@pytest.mark.parametrize(
    "other",
    [
        replace(ENTRY, path="files"),
        replace(ENTRY, kind="directory"),
        replace(ENTRY, size=8),
        replace(ENTRY, mtime_ns=2),
        replace(ENTRY, mode=0o600),
        replace(ENTRY, version=b"other"),
        replace(ENTRY, link_target="x"),
    ],
)
def test_every_difference_counts(other: TreeEntry) -> None:
    """Trees that differ in any field of a walk have different states."""
    assert state(ENTRY) == state(ENTRY)
    assert state(ENTRY) != state(other)
    assert state(ENTRY) != state(ENTRY, other)


def test_a_digest_does_not_count() -> None:
    """A cached digest of a file is not part of the state."""
    assert state(ENTRY) == state(replace(ENTRY, digest=b"x" * 32))


@pytest.mark.parametrize(("version", "counts"), [(b"version", False), (b"", True)])
def test_without_times(version: bytes, counts: bool) -> None:
    """Without times, the time of a file counts only if the file has no version; other fields count as usual."""

    def state_without(entry: TreeEntry) -> str | None:
        taken = TreeState(times=False)
        taken.add(entry)
        return taken.result()

    entry = replace(ENTRY, version=version)
    assert (state_without(entry) != state_without(replace(entry, mtime_ns=2))) is counts
    assert len({*map(state_without, (entry, replace(entry, size=8), replace(entry, version=b"other")))}) == 3


def test_a_racy_file() -> None:
    """A tree with a file whose change may be invisible has no state."""
    assert state(ENTRY, replace(ENTRY, racy=True)) is None


def test_no_entries_and_many() -> None:
    """An empty tree has a state, and the state of a very large tree depends on its last entry too."""
    many = [replace(ENTRY, path=f"{number:05}") for number in range(5_000)]
    states = {state(), state(ENTRY), state(*many), state(*many[:-1]), state(*many[1:])}
    assert len(states) == 5
    assert None not in states


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a/file").unlink(),
        lambda root: (root / "a/file").rename(root / "a/other"),
        lambda root: (root / "a/file").chmod(0o600),
        lambda root: os.utime(root / "a/file", ns=(5, 5)),
        lambda root: (root / "empty").rmdir(),
        lambda root: (root / "link").unlink(),
    ],
)
def test_every_change_of_a_directory_counts(root: Path, change: Callable[[Path], object]) -> None:
    """The state of a directory stays the same without changes and differs after any change."""
    (root / "a").mkdir()
    (root / "empty").mkdir()
    (root / "a/file").write_bytes(b"x")
    (root / "link").symlink_to("a/file")
    os.utime(root / "a/file", ns=(1, 1))
    before = state_of(root)
    assert before is not None
    assert state_of(root) == before
    change(root)
    assert state_of(root) != before

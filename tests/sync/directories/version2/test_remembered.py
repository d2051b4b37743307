"""What a sync remembers for the next one: the states of both sides, and only what is sure."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.sync.directories.version2.plan import Rules
from airflow_provider_sync.sync.directories.version2.remembered import (
    Remembered,
    entries_after,
    recall,
    remember,
    state_key,
    with_parents,
)
from tests.sync.directories.mirror import target_directory


def file(path: str, size: int = 1) -> TreeEntry:
    """Return a file."""
    return TreeEntry(path, "file", size)


def test_what_is_remembered_is_recalled(tmp_path: Path) -> None:
    """A state is found only by its key; states of other versions are ignored."""
    with DigestCache(str(tmp_path / "cache.db")) as cache:
        root = cache.root("/target", scope="")
        remembered = Remembered("source", "target", 3, ("a warning",))
        remember(root, "key", remembered)
        assert recall(root, "key") == remembered
        assert recall(root, "other") is None
        root.record_state("old", "source", '{"target": 1}')
        root.record_state("unknown", "", '{"source": "", "target": "target", "files": 3}')
        assert (recall(root, "old"), recall(root, "unknown")) == (None, None)


def test_keys_are_of_options() -> None:
    """Options that decide what is synced change the key; options for the comparison do not."""
    options = ({}, {"include": ["x"]}, {"exclude": ["x"]}, {"links": "keep"}, {"delete": False})
    keys = {state_key("http://a", target_directory(option), Rules()) for option in options}
    keys |= {state_key("http://b", target_directory(), Rules()), state_key("http://a", target_directory(), Rules(mtime=False))}
    assert len(keys) == 7
    assert state_key("http://a", target_directory(), Rules(checksum="always")) in keys


@pytest.mark.parametrize(
    ("deleted", "made", "written", "after"),
    [
        ([], [], [], ["b", "d/x", "f"]),
        (["b"], [], [], ["d/x", "f"]),
        (["f"], [], [], ["b", "d/x"]),
        (["gone"], [], [], ["b", "d/x", "f"]),
        ([], ["a", "z"], [], ["a", "b", "d/x", "f", "z"]),
        ([], [], ["b", "g"], ["b:2", "d/x", "f", "g:2"]),
        (["b"], ["b"], ["b/y"], ["b", "b/y:2", "d/x", "f"]),
        (["f"], [], ["f"], ["b", "d/x", "f:2"]),
    ],
)
def test_a_tree_after_a_sync(deleted: list[str], made: list[str], written: list[str], after: list[str]) -> None:
    """The tree after a sync is the old one without deleted and with written paths, in order."""
    before = [file(path) for path in ("b", "d/x", "f")]
    found = entries_after(
        before,
        deleted=[file(path) for path in deleted],
        made=[TreeEntry(path, "directory") for path in made],
        written=[file(path, 2) for path in written],
    )
    assert [f"{entry.path}{':2' if entry.size == 2 else ''}" for entry in found] == after


def test_directories_above_what_was_written() -> None:
    """Each parent directory of a written file occurs once, before its content."""
    written = [file(path) for path in ("a/b/c", "a/b/d", "a/e", "a/f/g/h", "i", "j/b/c")]
    assert [entry.path for entry in with_parents(written)] == [
        *("a", "a/b", "a/b/c", "a/b/d", "a/e", "a/f", "a/f/g", "a/f/g/h"),
        *("i", "j", "j/b", "j/b/c"),
    ]
    assert {entry.kind for entry in with_parents(written) if entry not in written} == {"directory"}

"""Manifests and what differs between them."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files import (
    Changes,
    Md5Hasher,
    NoneHasher,
    PathFilter,
    Storage,
    build_manifest,
    compare,
    open_storage,
    select_files,
)
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.files.tree import TreeEntry
from tests.files.conftest import put, remove, tree


def test_a_manifest_has_every_file_in_order(storage: Storage) -> None:
    """A manifest maps the path of every file to its MD5, in the order of the paths."""
    contents = {"z": b"", "b/x": b"1", "b.txt": b"2", "B": b"x" * 300_000, ".h": b"y" * 9_000_000}
    for path, content in contents.items():
        put(storage, path, content)
    seen: list[TreeEntry] = []
    manifest = build_manifest(storage, Md5Hasher(), on_file=lambda entry, _: seen.append(entry))
    assert list(manifest.items()) == sorted((path, hashlib.md5(content).hexdigest()) for path, content in contents.items())
    assert sorted((entry.path, entry.size) for entry in seen) == sorted(
        (path, len(content)) for path, content in contents.items()
    )


def test_the_null_hasher_opens_no_file(root: Path) -> None:
    """With the null hasher each digest is empty, and a file without read permission is no error."""
    (root / "x").write_bytes(b"x")
    storage = open_storage(str(root))
    storage.open_version = None  # type: ignore[method-assign, assignment]
    assert build_manifest(storage, NoneHasher()) == {"x": ""}


def test_a_known_file_is_not_read_again(root: Path, tmp_path: Path) -> None:
    """With a cache, only new and changed files are read, unless all are requested; the manifest is the same."""
    for name in ("same", "rewritten", "large"):
        (root / name).write_bytes(name.encode() * (100_000 if name == "large" else 1))
        os.utime(root / name, ns=(1, 1))
    storage = open_storage(str(root))
    cached = DigestCache(str(tmp_path / "cache")).root(storage.location, algorithm="md5")
    read: list[str] = []

    def note(entry: TreeEntry, was_read: bool) -> None:
        if was_read:
            read.append(entry.path)

    def manifest(*, read_all: bool = False) -> dict[str, str]:
        read.clear()
        return build_manifest(storage, Md5Hasher(), cached=cached, read_all=read_all, on_file=note)

    first = manifest()
    assert sorted(read) == ["large", "rewritten", "same"]
    assert manifest() == first == build_manifest(storage, Md5Hasher())
    assert read == []
    (root / "other").write_bytes(b"REWRITTEN")
    os.utime(root / "other", ns=(1, 1))
    (root / "other").rename(root / "rewritten")
    assert manifest() == {**first, "rewritten": hashlib.md5(b"REWRITTEN").hexdigest()}
    assert read == ["rewritten"]
    assert manifest(read_all=True) == build_manifest(storage, Md5Hasher())
    assert sorted(read) == ["large", "rewritten", "same"]


def test_a_part_of_a_directory_forgets_nothing_of_the_rest(root: Path, tmp_path: Path) -> None:
    """The manifest of a batch keeps the cache of other files; a whole manifest removes files that are gone."""
    for name in ("a", "b", "c"):
        (root / name).write_bytes(b"x")
        os.utime(root / name, ns=(1, 1))
    storage = open_storage(str(root))
    cached = DigestCache(str(tmp_path / "cache")).root(storage.location, algorithm="md5")
    build_manifest(storage, Md5Hasher(), cached=cached)
    entries = list(storage.scan())
    assert list(build_manifest(storage, Md5Hasher(), PathFilter(first="b", last="b"), cached=cached)) == ["b"]
    assert all(entry.digest for entry in cached.known(entries))
    (root / "c").unlink()
    build_manifest(storage, Md5Hasher(), cached=cached)
    assert [entry.path for entry in cached.known(entries) if entry.digest] == ["a", "b"]


def test_a_file_that_changes_while_it_is_read_is_not_remembered(root: Path, tmp_path: Path) -> None:
    """A file that changes while it is read counts as changed and is not cached."""

    class Disturbed(Md5Hasher):
        def hash(self, file: BinaryIO) -> str:
            digest = super().hash(file)
            os.utime(root / "file", ns=(2, 2))
            return digest

    (root / "file").write_bytes(b"x")
    os.utime(root / "file", ns=(1, 1))
    storage = open_storage(str(root))
    cached = DigestCache(str(tmp_path / "cache")).root(storage.location, algorithm="md5")
    assert list(build_manifest(storage, Disturbed(), cached=cached)) == ["file"]
    assert [entry.digest for entry in cached.known(storage.walk())] == [None]


def test_a_missing_root_is_an_error_at_the_source(storage: Storage) -> None:
    """A missing directory is an error at the source and an empty manifest at the target."""
    assert build_manifest(storage, Md5Hasher(), missing_ok=True) == {}
    if storage.location.startswith("s3://"):
        # A prefix without objects and one that never was look the same; a bucket does not.
        storage = open_storage("s3://no-such-bucket/root", storage._fs)  # type: ignore[attr-defined]
    with pytest.raises(FileError, match="Cannot "):
        build_manifest(storage, Md5Hasher())


def test_a_file_in_place_of_the_root_is_an_error(tmp_path: Path) -> None:
    """A root that is a file is an error on both sides."""
    (tmp_path / "file").write_bytes(b"x")
    for missing_ok in (False, True):
        with pytest.raises(FileError, match="not a directory"):
            build_manifest(open_storage(str(tmp_path / "file")), Md5Hasher(), missing_ok=missing_ok)


def test_files_that_vanish_are_left_out(root: Path) -> None:
    """A file that is deleted between the listing and the digest is not in the manifest."""
    for number in range(200):
        (root / str(number)).write_bytes(b"x" * (300_000 if number % 50 == 0 else 1))
    storage = open_storage(str(root))

    def remove_the_others(entry: TreeEntry, _: bool) -> None:
        for path in root.iterdir():
            if path.name != entry.path:
                path.unlink(missing_ok=True)

    manifest = build_manifest(storage, Md5Hasher(), on_file=remove_the_others)
    assert 1 <= len(manifest) < 200


def test_a_file_that_cannot_be_read_is_an_error(root: Path) -> None:
    """A disk error in any thread fails the manifest and names the file."""

    class BrokenDisk:
        name = "broken"

        def hash(self, file: object) -> str:
            raise OSError(5, "Input/output error")

    for size in (1, 1_000_000):
        (root / "broken").write_bytes(b"x" * size)
        with pytest.raises(FileError, match=r"Cannot read 'broken'.*Check the disk"):
            build_manifest(open_storage(str(root)), BrokenDisk())


def test_excluded_files_are_in_no_manifest(root: Path) -> None:
    """An excluded file is in neither manifest, even if its name cannot be sent."""
    (root / "tmp").mkdir()
    (root / "tmp" / "x").write_bytes(b"x")
    (root / "kept").write_bytes(b"x")
    (root / "tmp" / os.fsdecode(b"\xff")).write_bytes(b"x")
    selection = PathFilter(exclude=["tmp/**"])
    assert list(build_manifest(open_storage(str(root)), Md5Hasher(), selection)) == ["kept"]
    assert select_files({"kept": "1", "tmp/y": "2", "tmp/../../etc": "3"}, selection) == {"kept": "1"}


@pytest.mark.parametrize("name", ["../etc/passwd", "/etc/passwd", "a/../../b", "x\0"])
def test_a_hostile_manifest_is_refused(name: str) -> None:
    """A received name that leads out of the root stops the sync."""
    with pytest.raises(FileError):
        select_files({"good": "1", name: "2"}, PathFilter())


def test_changes_are_what_makes_the_target_equal() -> None:
    """Each file is added, changed, removed or unchanged; a file without a digest on a side counts as changed."""
    source = {"a": "1", "b": "2", "c": "3", "d": "", "e": "5", "g": ""}
    target = {"b": "2", "c": "x", "d": "", "e": "", "f": "6", "g": "7"}
    assert compare(source, target) == Changes(added=("a",), changed=("c", "d", "e", "g"), removed=("f",), unchanged=1)
    assert not compare({"a": "1"}, {"a": "1"})
    assert compare({}, {"a": "1"})


def test_obstacles_are_what_must_give_way() -> None:
    """Obstacles are the removed files that block a new file or directory, and no other files."""
    source = {"was_file/new/x": "1", "was_dir": "1", "was_dir2.txt": "1"}
    target = {"was_file": "1", "was_dir/a": "1", "was_dir/b/c": "1", "was_dir2/x": "1", "plain": "1"}
    changes = compare(source, target)
    assert changes.obstacles == {"was_file", "was_dir/a", "was_dir/b/c"}


manifests = st.dictionaries(st.sampled_from(["a", "a/b", "a/b/c", "b", "b/c", "d", "d/a"]), st.sampled_from(["1", "2", ""]))


def without_clashes(manifest: dict[str, str]) -> dict[str, str]:
    """A manifest that a disk can hold."""
    return {path: digest for path, digest in manifest.items() if not any(other.startswith(f"{path}/") for other in manifest)}


@settings(deadline=None)
@given(manifests.map(without_clashes), manifests.map(without_clashes))
def test_applying_changes_makes_the_target_equal(
    tmp_path_factory: pytest.TempPathFactory, source: dict[str, str], target: dict[str, str]
) -> None:
    """If the changes are applied, the target has the tree of the source, despite all obstacles."""
    root = tmp_path_factory.mktemp("applied")
    storage = open_storage(str(root))
    for path, digest in target.items():
        put(storage, path, digest.encode())
    changes = compare(source, target)
    for path in (*changes.added, *changes.changed):
        put(storage, path, source[path].encode(), replaces=changes.obstacles)
    for path in changes.removed:
        remove(storage, path)
    files = {path: content for path, content in tree(root).items() if content is not None}
    assert files == {path: digest.encode() for path, digest in source.items()}
    directories = {path for path, content in tree(root).items() if content is None}
    assert all(any(path.startswith(f"{directory}/") for path in source) for directory in directories)


def test_deep_names_take_no_memory() -> None:
    """The parents of thousands of deep names are looked up and not kept in memory."""
    deep = [f"{'a/' * 2_000}{number}" for number in range(100)]
    tracemalloc.start()
    try:
        assert compare(dict.fromkeys(deep, "x"), {"a/a/a": "x", "b": "x"}).obstacles == {"a/a/a"}
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()

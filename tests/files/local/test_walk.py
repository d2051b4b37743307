"""Walking a local disk: everything once, in the order of paths, and never out of the root."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files import PathFilter
from airflow_provider_sync.files.local import walk as local_walk
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.protocol.v2.file_messages import Links, path_order
from tests.open_files import open_files

SECRET = b"not for you"
ODD_NAMES = (
    *(" ", " leading", "trailing ", "-", "--delete", "-rf", "~", "...", "..data", ".hidden", "a b", "a\nb", "a\tb", "a\rb"),
    *("a'b", 'a"b', "a\\b", "a*b", "a?b", "[a]", "{a}", "a|b", "a;b", "a&b", "$HOME", "`id`", "%00", "a:b", "CON", "NUL.txt"),
    *("\x01", "\x7f", "é", "e\u0301", "日本語", "😀", "\u202eevil", "\ufeff", "x" * 255),
)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the root with a file that nobody may reach through the root."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "secret").write_bytes(SECRET)
    return directory


def make(root: Path, *files: str) -> None:
    """Make files with their own name as content, and the directories above them."""
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def walked(storage: LocalStorage, *arguments: PathFilter, links: Links = "skip") -> list[str]:
    """What a walk finds; directories with ``/`` at their end, links with ``@``."""
    endings = {"file": "", "directory": "/", "link": "@"}
    return [entry.path + endings[entry.kind] for entry in storage.walk(*arguments, links=links)]


def entry_at(storage: LocalStorage, path: str) -> TreeEntry:
    """The entry of one path."""
    return next(entry for entry in storage.walk() if entry.path == path)


NAME = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(NAME, min_size=1, max_size=4), max_size=12))
def test_the_order_is_that_of_all_paths(paths: list[list[str]]) -> None:
    """Any tree is walked in the order of its sorted paths, including directories."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for components in paths:
            if not {".", ".."}.isdisjoint(components):
                continue
            directory = root.joinpath(*components[:-1])
            try:
                directory.mkdir(parents=True, exist_ok=True)
                (directory / components[-1]).touch()
            except (FileExistsError, NotADirectoryError):
                continue
        every = sorted((path.relative_to(root).as_posix() for path in root.rglob("*")), key=path_order)
        assert [entry.path for entry in LocalStorage(root).walk()] == every


def test_odd_names(storage: LocalStorage, root: Path) -> None:
    """Names with special meanings for shells, other systems or terminals are walked as files and as directories."""
    make(root, *ODD_NAMES, *(f"directory/{name}/{name}" for name in ODD_NAMES))
    entries = list(storage.walk())
    assert len(ODD_NAMES) == 39
    assert len(entries) == 3 * 39 + 1
    assert [entry.path for entry in entries] == sorted((entry.path for entry in entries), key=path_order)


def test_what_an_entry_says(storage: LocalStorage, root: Path) -> None:
    """An entry has size, time and permission bits; directories and links have no size, and no version."""
    make(root, "directory/file")
    (root / "directory/file").chmod(0o4640)
    os.utime(root / "directory/file", ns=(1, 1_234_567_890_123_456_789))
    (root / "directory").chmod(0o1750)
    (root / "link").symlink_to("directory/file")
    directory, file, link = storage.walk(links="keep")
    assert (file.path, file.size, file.mtime_ns, file.mode) == ("directory/file", 14, 1_234_567_890_123_456_789, 0o640)
    assert (file.kind, file.link_target, file.inode, file.digest, file.racy) == ("file", None, None, None, False)
    assert (directory.kind, directory.size, directory.mode, directory.version) == ("directory", 0, 0o750, b"")
    assert (link.kind, link.size, link.link_target, link.version) == ("link", 0, "directory/file", b"")


def test_a_version_changes_with_the_file(storage: LocalStorage, root: Path) -> None:
    """Writing, replacing and touching a file change its version, also with equal size and time."""
    make(root, "file")
    os.utime(root / "file", ns=(1, 1))
    before = entry_at(storage, "file")
    assert entry_at(storage, "file") == before
    (root / "other").write_text("FILE")
    os.utime(root / "other", ns=(1, 1))
    (root / "other").rename(root / "file")
    after = entry_at(storage, "file")
    assert (after.size, after.mtime_ns) == (before.size, before.mtime_ns)
    assert after.version != before.version


def test_hard_links_are_recognised(storage: LocalStorage, root: Path) -> None:
    """Names of one file have the same inode; a file with one name has none."""
    make(root, "a/one", "two")
    (root / "b").hardlink_to(root / "a/one")
    entries = {entry.path: entry.inode for entry in storage.walk()}
    assert entries["a/one"] == entries["b"] is not None
    assert entries["two"] is None


def test_only_what_is_selected_is_walked(storage: LocalStorage, root: Path) -> None:
    """Patterns apply to files and directories; a directory that is not selected may hold files that are."""
    make(root, "a/x.png", "a/x.txt", "b/c/y.png", "tmp/z.png", "w.png")
    (root / "empty").mkdir()
    everything = ["a/", "a/x.png", "a/x.txt", "b/", "b/c/", "b/c/y.png", "empty/", "tmp/", "tmp/z.png", "w.png"]
    assert walked(storage) == everything
    assert walked(storage, PathFilter(include=["**/*.png"], exclude=["tmp/"])) == ["a/x.png", "b/c/y.png", "w.png"]
    assert walked(storage, PathFilter(exclude=["tmp/", "a/*.txt"])) == [
        *["a/", "a/x.png", "b/", "b/c/", "b/c/y.png", "empty/", "w.png"]
    ]


def test_temporary_and_special_files_are_left_out(storage: LocalStorage, root: Path) -> None:
    """A sync's temporary files, FIFOs and sockets are not part of a directory's content."""
    make(root, ".airflow-sync-0123456789abcdef.part", "d/.airflow-sync-fedcba9876543210.part/x", ".airflow-sync-notours.part")
    os.mkfifo(root / "fifo")
    assert walked(storage) == [".airflow-sync-notours.part", "d/"]


def test_a_missing_root(tmp_path: Path) -> None:
    """A missing root is an error, or empty on request; a file in its place is always an error."""
    storage = LocalStorage(tmp_path / "missing")
    with pytest.raises(FileError, match="No such file or directory"):
        list(storage.walk())
    assert list(storage.walk(missing_ok=True)) == []
    (tmp_path / "missing").touch()
    with pytest.raises(FileError, match="Not a directory"):
        list(storage.walk(missing_ok=True))


def test_a_tree_that_changes_meanwhile(storage: LocalStorage, root: Path, outside: Path) -> None:
    """Paths that disappear or change their kind during a walk are left out; others are found in order."""
    make(root, *(f"{directory}/{name}" for directory in "abcdefg" for name in "xyz"))
    found = []
    for entry in storage.walk():
        found.append(entry.path)
        if entry.path == "a/x":
            (root / "a/y").unlink()
            (root / "a/z").unlink()
            (root / "a/z").symlink_to(outside / "secret")
            (root / "b").rename(root / "h")
            (root / "c").rename(root / "away")
            (root / "c").symlink_to(outside)
            (root / "d").rename(root / "i")
            (root / "d").touch()
        if entry.path == "f/x":
            (root / "f").rename(outside / "f")
    assert found[:2] == ["a", "a/x"]
    assert "c/secret" not in found
    assert [path for path in found if path[0] in "bcd"] == []
    assert [path for path in found if path[0] in "eg"] == ["e", "e/x", "e/y", "e/z", "g", "g/x", "g/y", "g/z"]
    assert found == sorted(found, key=path_order)


def test_deep_trees(storage: LocalStorage, root: Path) -> None:
    """A tree that is deeper than the limit of open files is walked completely."""
    current = os.open(root, os.O_RDONLY)
    for _ in range(1200):
        for name in ("d", "z"):
            os.mkdir(name, dir_fd=current)
        below = os.open("d", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(current)
    entries = list(storage.walk())
    assert len(entries) == 2400
    assert entries[-1].path == "z"
    assert max(entry.path.count("/") for entry in entries) == 1199
    # Too deep for Python 3.11's rmtree, and so for pytest.
    subprocess.run(["rm", "-rf", root], check=True)


@pytest.mark.parametrize("moved", ["to another place", "and replaced", "and gone"])
def test_a_deep_directory_that_moves_meanwhile(
    storage: LocalStorage, root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, moved: str
) -> None:
    """A directory that moves while its descriptor is closed does not lead the walk out of the root."""
    monkeypatch.setattr(local_walk, "_OPEN_DIRECTORIES", 1)
    make(root, "a/b/c", "a/b/d", "a/z", "z")
    found = []
    for entry in storage.walk():
        found.append(entry.path)
        if entry.path == "a/b/c":
            (root / "a/b").rename(outside / "b")
            (outside / "z").touch()
            if moved == "and replaced":
                make(root, "a/z2")
            if moved == "and gone":
                (root / "a").rename(outside / "a")
    assert found[:3] == ["a", "a/b", "a/b/c"]
    assert "a/secret" not in found
    assert found[3:] == (["a/b/d", "z"] if moved == "and gone" else ["a/b/d", "a/z", "z"])


@pytest.mark.parametrize("files", ["file", "directory"])
def test_what_may_not_be_read(
    public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]], files: str
) -> None:
    """A directory without permission is an error that names it, or reported and left out."""
    code = """
        from airflow_provider_sync.files import *
        storage = open_storage(sys.argv[1])
        def say(path, error):
            print(f"[{path}] {error}")
        print([entry.path for entry in storage.walk(on_unreadable=say)])
        try:
            list(storage.walk())
        except Exception as error:
            print(type(error).__name__, error)
    """
    make(public_root, "closed/secret", "open")
    # Without x, names can be read, and nothing about them.
    (public_root / "closed").chmod(0 if files == "directory" else 0o444)
    (public_root / "open").chmod(0o444)
    told, listed, error = run_as_user(code, str(public_root)).stdout.splitlines()
    if files == "directory":
        assert told.startswith("[closed/] Cannot read the directory 'closed'")
        assert listed == "['open']"
        assert error.startswith("FileError Cannot read the directory 'closed'")
    else:
        assert told.startswith("[closed/secret] Cannot read 'closed/secret'")
        assert listed == "['closed', 'open']"
        assert error.startswith("FileError Cannot read 'closed/secret'")
    (public_root / "closed").chmod(0o755)


def test_names_that_cannot_travel(storage: LocalStorage, root: Path) -> None:
    """A non-UTF-8 name, or a too long path, is an error, or reported and left out, unless it is excluded."""
    make(root, "good", "also/good")
    odd_file, odd_directory = (root / os.fsdecode(b"caf\xe9.txt")), (root / os.fsdecode(b"caf\xe9"))
    odd_file.touch()
    odd_directory.mkdir()
    told: list[str] = []
    assert [entry.path for entry in storage.walk(on_unreadable=lambda path, _: told.append(path))] == [
        "also",
        "also/good",
        "good",
    ]
    assert told == [r"caf\xe9/", r"caf\xe9.txt"]
    with pytest.raises(FileError, match=r"not valid UTF-8.*exclude"):
        walked(storage)
    assert walked(storage, PathFilter(exclude=["caf?.txt", "caf?"])) == ["also/", "also/good", "good"]
    (odd_directory / "x").touch()
    with pytest.raises(FileError, match="not valid UTF-8"):
        walked(storage, PathFilter(exclude=["caf?.txt", "caf?"]))


def test_paths_that_are_too_long(storage: LocalStorage, root: Path) -> None:
    """A path of more than 4095 bytes cannot be sent, although its directory can."""
    current = os.open(root, os.O_RDONLY)
    for _ in range(16):
        os.mkdir("d" * 250, dir_fd=current)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    for name in ("f" * 79, "f" * 80):
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=current))
    os.close(current)
    told: list[str] = []
    entries = list(storage.walk(on_unreadable=lambda path, _: told.append(path)))
    assert len(entries[-1].path) == 4095
    assert [len(path) for path in told] == [4096]


def test_a_broken_disk_is_not_left_out(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of more than one file ends the walk, even if unreadable files are left out."""
    make(root, "file", "directory/x")

    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(local_walk.os, "scandir", broken)
    with pytest.raises(FileError, match="Check the disk"):
        list(storage.walk(on_unreadable=lambda *_: None))


def test_descriptors_are_closed(storage: LocalStorage, root: Path) -> None:
    """A walk leaves no descriptor open, whether it ends, fails or is closed."""
    make(root, "a/b/c", "d/e")
    before = open_files()
    list(storage.walk())
    given_up = storage.walk()
    assert next(given_up).path == "a"
    given_up.close()  # type: ignore[attr-defined]
    assert open_files() <= before

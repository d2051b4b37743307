"""Symbolic links in a walk: left out, kept, or followed inside the root only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files import PathFilter
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.paths import link_stays_inside
from tests.files.local.test_walk import SECRET, make, outside, walked

__all__ = ["outside"]


def test_links_are_skipped_and_told(storage: LocalStorage, root: Path, outside: Path) -> None:
    """By default, links are left out, and selected ones are counted."""
    make(root, "real")
    (root / "to_directory").symlink_to(outside)
    (root / "inside").symlink_to("real")
    (root / "excluded").symlink_to("real")
    (root / os.fsdecode(b"caf\xe9")).symlink_to("real")
    told: list[str] = []
    assert [entry.path for entry in storage.walk(PathFilter(exclude=["excluded"]), on_link=told.append)] == ["real"]
    assert sorted(told) == [r"caf\xe9", "inside", "to_directory"]


def test_links_are_kept_as_links(storage: LocalStorage, root: Path, outside: Path) -> None:
    """Links inside the root are listed with their target, also dangling ones; others are left out and counted."""
    make(root, "a/real")
    links = {"a/up": "../a/real", "dangling": "nowhere", "loop": "loop", "self": ".", "é": "a/./real"}
    out = {"absolute": str(outside), "a/out": "../../outside/secret", "parent": ".."}
    for name, target in (links | out).items():
        (root / name).symlink_to(target)
    told: list[str] = []
    entries = {entry.path: entry.link_target for entry in storage.walk(links="keep", on_link=told.append) if entry.kind == "link"}
    assert entries == links
    assert sorted(told) == sorted(out)


def test_a_kept_link_to_a_name_that_cannot_travel(storage: LocalStorage, root: Path) -> None:
    """A link with a non-UTF-8 target or name is an error, or reported and left out."""
    (root / "link").symlink_to(os.fsdecode(b"caf\xe9"))
    told: list[str] = []
    assert list(storage.walk(links="keep", on_unreadable=lambda path, _: told.append(path))) == []
    assert told == ["link"]
    with pytest.raises(FileError, match=r"The link 'link'.*not valid UTF-8"):
        list(storage.walk(links="keep"))
    (root / "link").unlink()
    (root / os.fsdecode(b"caf\xe9")).symlink_to("x")
    assert list(storage.walk(links="keep", on_unreadable=lambda path, _: told.append(path))) == []
    assert told == ["link", r"caf\xe9"]


def test_links_are_followed_inside_the_root(storage: LocalStorage, root: Path) -> None:
    """Files and directories behind links are listed under the links' names in order, and can be opened."""
    make(root, "a/x", "b/c/y")
    (root / "file").symlink_to("a/x")
    (root / "directory").symlink_to("b")
    (root / "b/c/up").symlink_to("../../a")
    (root / "twice").symlink_to("directory/c/up/x")
    (root / "absolute").symlink_to(root / "a/x")
    assert walked(storage, links="follow") == [
        *["a/", "a/x", "absolute", "b/", "b/c/", "b/c/up/", "b/c/up/x", "b/c/y"],
        *["directory/", "directory/c/", "directory/c/up/", "directory/c/up/x", "directory/c/y", "file", "twice"],
    ]
    for entry in storage.walk(links="follow"):
        if entry.kind == "file":
            with storage.open_version(entry.path, links="follow") as version:
                assert version.entry == entry
                assert version.file.read() in (b"a/x", b"b/c/y")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("../outside/secret", "it leads out of the directory"),
        ("/etc/passwd", "it leads out of the directory"),
        ("sub/../../outside/secret", "it leads out of the directory"),
        ("..", "it leads out of the directory"),
        ("to_outside/secret", "it leads out of the directory"),
        ("link", "it leads in a circle"),
        ("sub/back/link", "it leads in a circle"),
        (".", "it leads in a circle"),
        ("nowhere", "nothing is there"),
        ("sub/file/x", "nothing is there"),
        (".airflow-sync-0123456789abcdef.part", "nothing is there"),
    ],
)
def test_links_that_are_not_followed(storage: LocalStorage, root: Path, outside: Path, target: str, reason: str) -> None:
    """A link out of the root, in a circle or to nothing is reported and left out, or an error; opening it fails."""
    make(root, "sub/file", ".airflow-sync-0123456789abcdef.part")
    (root / "sub/back").symlink_to("..")
    (root / "to_outside").symlink_to("../outside")
    (root / "link").symlink_to(target)
    told: dict[str, str] = {}

    def tell(path: str, error: FileError) -> None:
        told[path] = str(error)

    assert [entry.path for entry in storage.walk(links="follow", on_unreadable=tell)] == ["sub", "sub/file"]
    assert told["link"].startswith(f"The link 'link' in {root} cannot be followed: {reason}. ")
    with pytest.raises(FileError, match="cannot be followed"):
        list(storage.walk(PathFilter(exclude=["sub/back", "to_outside"]), links="follow"))
    with pytest.raises(FileError, match="Cannot read 'link'"):
        storage.open_version("link", links="follow")


@pytest.mark.parametrize("target", ["../outside/secret", "nowhere", "loop", "to_outside/secret"])
def test_links_that_are_not_followed_and_not_wanted(storage: LocalStorage, root: Path, outside: Path, target: str) -> None:
    """A bad link is not an error if it is excluded, or outside of the walked folder."""
    make(root, "sub/file", "closed/file")
    for name in ("loop", "closed/loop", "link"):
        (root / name).symlink_to(target if name == "link" else "loop")
    (root / "to_outside").symlink_to("../outside")
    for path_filter in (
        PathFilter(exclude=["loop", "link", "to_outside", "closed/"]),
        PathFilter(exclude=["*o*", "link/**", "closed/loop"]),
    ):
        assert "sub/file" in walked(storage, path_filter, links="follow")
    folder = PathFilter().below("sub")
    assert walked(storage, folder, links="follow") == ["sub/", "sub/file"]
    (root / "sub" / "link").symlink_to("nowhere")
    with pytest.raises(FileError, match=r"The link 'sub/link' in .* cannot be followed"):
        walked(storage, folder, links="follow")


def test_what_is_excluded_is_not_found_behind_links(storage: LocalStorage, root: Path) -> None:
    """An excluded file is neither listed nor opened through a link to it or its directory."""
    make(root, "private/secret", "mixed/secret", "mixed/open")
    (root / "file").symlink_to("private/secret")
    (root / "directory").symlink_to("private")
    (root / "both").symlink_to("mixed")
    path_filter = PathFilter(exclude=["private/", "mixed/secret"])
    assert walked(storage, path_filter, links="follow") == ["both/", "both/open", "mixed/", "mixed/open"]
    for name in ("file", "directory/secret", "both/secret"):
        with pytest.raises(FileError, match="No such file"):
            storage.open_version(name, links="follow", path_filter=path_filter)
    with storage.open_version("both/open", links="follow", path_filter=path_filter) as version:
        assert version.file.read() == b"mixed/open"


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("target", ["closed", "closed/sub", "closed/sub/file", "file.key", "sub/../file.key", "file.key/below"])
def test_whether_what_is_excluded_exists_is_not_told(storage: LocalStorage, root: Path, target: str, is_there: bool) -> None:
    """A link to an excluded name is left out, and cannot be opened, in the same words whether anything is there or not."""
    make(root, "sub/x")
    if is_there:
        make(root, "closed/sub/file", "file.key")
    (root / "link").symlink_to(target)
    path_filter = PathFilter(exclude=["closed/", "*.key"])
    assert walked(storage, path_filter, links="follow") == ["sub/", "sub/x"]
    with pytest.raises(FileError, match="No such file"):
        storage.open_version("link", links="follow", path_filter=path_filter)


def test_directories_are_not_opened_through_links(storage: LocalStorage, root: Path) -> None:
    """A link to a directory, or to the root, cannot be opened as a file."""
    make(root, "directory/x")
    (root / "link").symlink_to("directory")
    (root / "root").symlink_to(".")
    for name in ("link", "root"):
        with pytest.raises(FileError, match="It is a directory"):
            storage.open_version(name, links="follow")


@pytest.mark.parametrize(
    ("path", "target", "inside"),
    [
        ("a", "b", True),
        ("a/b", "../c", True),
        ("a/b", "../../c", False),
        ("a/b", "c/../../../d", False),
        ("a/b", "c/../d", False),
        ("a/b", ".././/../c", False),
        ("a/b", "./.././c", True),
        ("a", "./.", True),
        ("a", "..", False),
        ("a", "/etc", False),
        ("a", "", False),
        ("a", "b\0", False),
    ],
)
def test_whether_a_link_stays_inside(path: str, target: str, inside: bool) -> None:
    """The text of a link shows whether it leads out, also if it comes back in."""
    assert link_stays_inside(path, target) is inside


def test_secrets_stay_outside(storage: LocalStorage, root: Path, outside: Path) -> None:
    """Following links never opens a file outside the root, for any links."""
    (root / "out").symlink_to("../outside")
    (root / "deep").symlink_to("out/secret")
    for name in ("out/secret", "deep", "out"):
        with pytest.raises(FileError):
            storage.open_version(name, links="follow")
    assert (outside / "secret").read_bytes() == SECRET

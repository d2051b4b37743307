"""Reading and listing a local disk: nothing outside the root, nothing that blocks, nothing half."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import FileChangedError, FileError, MissingFileError
from airflow_provider_sync.files import Md5Hasher, PathFilter, build_manifest
from airflow_provider_sync.files.local.local_storage import LocalStorage
from tests.files.conftest import get, put, remove, tree
from tests.files.local.writing import PLAIN
from tests.open_files import open_files

SECRET = b"not for you"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the root with a file that nobody may reach through the root."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "secret").write_bytes(SECRET)
    return directory


def listed(storage: LocalStorage) -> list[str]:
    """Paths that a scan finds."""
    return sorted(entry.path for entry in storage.scan())


def test_links_are_not_listed(storage: LocalStorage, root: Path, outside: Path) -> None:
    """A scan lists neither symbolic links nor files behind them, outside or inside the root."""
    (root / "real").write_bytes(b"x")
    (root / "to_file").symlink_to(outside / "secret")
    (root / "to_directory").symlink_to(outside)
    (root / "inside").symlink_to("real")
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    (root / "self").symlink_to(".")
    assert listed(storage) == ["real"]


@pytest.mark.parametrize(
    "name", ["to_file", "to_directory", "to_directory/secret", "inside", "self/real", "dangling", "loop", "loop/x"]
)
def test_links_are_not_opened(storage: LocalStorage, root: Path, outside: Path, name: str) -> None:
    """No file is read through a symbolic link, at the end of a path or before."""
    (root / "real").write_bytes(b"x")
    links: dict[str, Path | str] = {
        "to_file": outside / "secret",
        "to_directory": outside,
        "inside": "real",
        "self": ".",
        "dangling": "nowhere",
        "loop": "loop",
    }
    for link, target in links.items():
        (root / link).symlink_to(target)
    with pytest.raises(FileError, match="links are not followed"):
        storage.open_version(name)
    with pytest.raises(FileError, match="links are not followed"):
        storage.read(name)


def test_the_root_itself_may_be_a_link(tmp_path: Path, root: Path) -> None:
    """If the configured path is a link, its directory is the root."""
    (tmp_path / "link").symlink_to(root)
    (root / "x").write_bytes(b"content")
    storage = LocalStorage(tmp_path / "link")
    assert listed(storage) == ["x"]
    put(storage, "y")
    assert (root / "y").exists()


def test_special_files_are_neither_listed_nor_opened(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FIFOs, sockets and devices are ignored, and opening one fails at once."""
    os.mkfifo(root / "fifo")
    (root / "directory").mkdir()
    names = ["fifo", "socket", "directory"]
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        if os.geteuid() == 0:
            os.mknod(root / "null", 0o600 | 0o020000, os.makedev(1, 3))
            names.append("null")
        assert listed(storage) == []
        for name in names:
            with pytest.raises(FileError, match=f"Cannot read '{name}'"):
                storage.open_version(name)


def test_a_swapped_directory_leads_nowhere_else(storage: LocalStorage, root: Path, outside: Path) -> None:
    """While a directory is swapped for a link, reads and writes never reach the link's target."""
    (root / "sub").mkdir()
    (root / "sub" / "secret").write_bytes(b"harmless")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (root / "sub").rename(root / "away")
            (root / "sub").symlink_to(outside)
            (root / "sub").unlink()
            (root / "away").rename(root / "sub")

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(500):
            try:
                with storage.open_version("sub/secret") as opened:
                    assert opened.file.read() == b"harmless"
            except FileError:
                pass
            assert "sub/other" not in listed(storage)
    finally:
        stop.set()
        swapper.join()
    assert (outside / "secret").read_bytes() == SECRET


def test_names_that_cannot_travel_are_an_error(storage: LocalStorage, root: Path) -> None:
    """A non-UTF-8 name fails a scan with an error, because leaving it out would delete it at the target."""
    (root / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"x")
    with pytest.raises(FileError, match=r"caf\\\\xe9\.txt.*not valid UTF-8.*exclude") as failure:
        listed(storage)
    assert str(failure.value).encode()
    assert [entry.path for entry in storage.scan(PathFilter(exclude=["caf?.txt"]))] == []


def test_deep_trees(storage: LocalStorage, root: Path) -> None:
    """A tree of 1,000 directories is written, listed, read and deleted, beyond what a plain path can name."""
    name = "/".join(["ddd"] * 1000) + "/file"
    assert len(str(root)) + len(name) > 4000
    put(storage, name, b"deep")
    assert list(build_manifest(storage, Md5Hasher())) == [name]
    assert get(storage, name) == b"deep"
    remove(storage, name)
    assert list(root.iterdir()) == []


def test_empty_directories_and_temporary_files_are_not_listed(storage: LocalStorage, root: Path) -> None:
    """Empty directories and a sync's temporary files are not listed."""
    (root / "empty" / "deeper").mkdir(parents=True)
    (root / ".airflow-sync-0123456789abcdef.part").write_bytes(b"x")
    (root / ".airflow-sync-fedcba9876543210.part").mkdir()
    (root / ".airflow-sync-fedcba9876543210.part" / "x").write_bytes(b"x")
    (root / ".airflow-sync-notours.part").write_bytes(b"x")
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.put("new", b"x", PLAIN)
        assert listed(storage) == [".airflow-sync-notours.part"]
    assert listed(storage) == [".airflow-sync-notours.part", "new"]


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite", "empty"])
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_file_that_changes_while_it_is_sent_is_noticed(storage: LocalStorage, root: Path, change: str, size: int) -> None:
    """The last block of a file that changed while it was read is never returned."""
    path = root / "file"
    path.write_bytes(b"x" * size)
    with storage.read("file") as reader:
        with path.open("r+b") as file:
            if change == "grow":
                file.seek(0, os.SEEK_END)
                file.write(b"y")
            elif change == "shrink":
                file.truncate(size - 1)
            elif change == "empty":
                file.truncate(0)
            else:
                file.write(b"z")
        os.utime(path, ns=(0, 12345))
        sent: list[bytes] = []
        with pytest.raises(FileChangedError, match=r"'file'.*changed while it was read"):
            sent.extend(reader)
        assert sum(map(len, sent)) < size


def test_a_file_that_is_replaced_while_it_is_sent_is_sent_whole(storage: LocalStorage, root: Path) -> None:
    """A reader keeps the old content if the file is replaced."""
    put(storage, "file", b"old" * 200_000)
    with storage.read("file") as reader:
        put(storage, "file", b"new")
        assert b"".join(reader) == b"old" * 200_000


def test_what_may_not_be_read_is_an_error(
    public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """A file or directory without permission fails a scan or a digest, and does not count as missing."""
    code = """
        from airflow_provider_sync.files import *
        try:
            print(build_manifest(open_storage(sys.argv[1]), Md5Hasher(), PathFilter(exclude=sys.argv[2:])))
        except Exception as error:
            print(type(error).__name__, error)
    """
    (public_root / "open").write_bytes(b"x")
    (public_root / "closed").mkdir()
    (public_root / "closed").chmod(0)
    outcome = run_as_user(code, str(public_root))
    assert outcome.stdout.startswith("FileError Cannot read the directory 'closed'"), outcome
    assert "Permission denied" in outcome.stdout
    assert run_as_user(code, str(public_root), "closed/").stdout.startswith("{'open': ")
    (public_root / "closed").rmdir()
    (public_root / "secret").write_bytes(b"x")
    (public_root / "secret").chmod(0)
    assert run_as_user(code, str(public_root)).stdout.startswith("FileError Cannot read 'secret'")
    (public_root / "secret").unlink()
    public_root.chmod(0)
    assert run_as_user(code, str(public_root)).stdout.startswith(f"FileError Cannot read the directory {public_root}")


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    """A missing directory is an error, and not an empty one."""
    with pytest.raises(FileError, match=r"No such file or directory\. Make it, or correct its path"):
        list(LocalStorage(tmp_path / "nowhere").scan())
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="It is a file; name a directory"), LocalStorage(tmp_path / "file").exclusive(0):
        pass


def test_a_root_that_goes_away_is_not_a_missing_file(storage: LocalStorage, root: Path) -> None:
    """If the whole directory disappears, that is an error, and not many missing files."""
    (root / "x").write_bytes(b"x")
    scan = storage.scan()
    next(scan)
    root.rename(root.with_name("elsewhere"))
    for call in (storage.open_version, storage.read):
        with pytest.raises(FileError) as failure:
            call("x")
        assert not isinstance(failure.value, MissingFileError)


def test_descriptors_are_given_back(storage: LocalStorage, root: Path) -> None:
    """No file stays open after success or failure."""
    (root / "file").write_bytes(b"x")
    (root / "link").symlink_to("file")
    os.mkfifo(root / "fifo")
    before = open_files()
    for name in ("file", "link", "fifo", "absent", "file/x", "link/x", "a/b/c"):
        for call in (
            lambda name: remove(storage, name),
            lambda name: storage.read(name).__exit__(None, None, None),
            lambda name: put(storage, name),
        ):
            try:
                call(name)
            except FileError:
                continue
    listed(storage)
    next(iter(storage.scan()))
    storage.clean(0)
    with storage.exclusive(0):
        pass
    assert open_files() <= before


def test_an_error_of_the_disk_is_not_a_missing_directory(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk error in the middle of a scan ends it with an error."""
    (root / "sub").mkdir()
    (root / "sub" / "x").write_bytes(b"x")
    scandir = os.scandir

    def failing(descriptor: int) -> object:
        if os.path.samestat(os.fstat(descriptor), (root / "sub").stat()):
            raise OSError(errno.EIO, "Input/output error")
        return scandir(descriptor)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(FileError, match="Check the disk"):
        listed(storage)


def test_clean_removes_what_was_moved_aside(storage: LocalStorage, root: Path, outside: Path) -> None:
    """A directory that a killed sync moved aside is removed with its content, but not behind its links."""
    aside = root / "a" / ".airflow-sync-0123456789abcdef.part"
    (aside / "deep").mkdir(parents=True)
    (aside / "deep" / "x").write_bytes(b"x")
    (aside / "link").symlink_to(outside)
    (root / "a" / ".airflow-sync-fedcba9876543210.part").symlink_to(outside)
    (root / "a" / "link").symlink_to(outside)
    (outside / ".airflow-sync-0123456789abcdef.part").write_bytes(b"theirs")
    assert storage.clean(0) == 2
    assert tree(root) == {"a": None, "a/link": b"-> " + os.fsencode(outside)}
    assert tree(outside) == {"secret": SECRET, ".airflow-sync-0123456789abcdef.part": b"theirs"}


def test_clean_passes_over_what_may_not_be_read(
    public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """A directory without permission does not stop the clean-up of others."""
    (public_root / "closed").mkdir(mode=0o700)
    (public_root / ".airflow-sync-0123456789abcdef.part").touch()
    code = "print(airflow_provider_sync.files.open_storage(sys.argv[1]).clean(0))"
    outcome = run_as_user(code, str(public_root))
    assert outcome.stdout == "1\n", outcome.stderr

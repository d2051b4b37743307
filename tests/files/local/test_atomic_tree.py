"""All or nothing: the old tree or the new one, whatever happens in between."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import ConfigurationError, DirectoryBusyError, FileError
from airflow_provider_sync.files.local.atomic_tree import copy_name
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.tree_writer import Backup
from tests.files.conftest import PROJECT, tree
from tests.files.local.changed_tree import CHANGED, LONG_AGO, PLAIN, change, old_tree


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    """A directory with some files."""
    return old_tree(root)


@pytest.mark.parametrize("durable", [True, False])
def test_a_tree_is_replaced_in_one_step(storage: LocalStorage, root: Path, durable: bool) -> None:
    """No change is visible until the end; then all of it, and nothing remains beside the directory."""
    (root / "dir").chmod(0o2750)
    os.utime(root / "dir", ns=(LONG_AGO, LONG_AGO))
    os.utime(root, ns=(LONG_AGO, LONG_AGO))
    root.chmod(0o701)
    before = tree(root)
    old = {name: (root / name).stat() for name in ("same", "touched")}
    with storage.exclusive(0):
        with storage.atomic_copy(durable=durable) as copy:
            assert copy.location == storage.location
            status = (copy.root / "dir").stat()
            assert (status.st_mtime_ns, stat.S_IMODE(status.st_mode)) == (LONG_AGO, 0o2750)
            assert (copy.root.stat().st_mtime_ns, stat.S_IMODE(copy.root.stat().st_mode)) == (LONG_AGO, 0o701)
            change(copy)
            assert tree(root) == before
            status = (root / "touched").stat()
            assert (status.st_mtime_ns, status.st_mode) == (LONG_AGO, old["touched"].st_mode)
        assert tree(root) == CHANGED
        with pytest.raises(DirectoryBusyError), LocalStorage(root).exclusive(0):
            pass
    assert (root / "same").stat().st_ino == old["same"].st_ino
    assert (root / "touched").stat().st_mtime_ns == LONG_AGO + 1
    assert [path.name for path in root.parent.iterdir()] == [root.name]
    with LocalStorage(root).exclusive(0):
        pass


def test_an_exception_leaves_the_old_tree(storage: LocalStorage, root: Path) -> None:
    """If the sync fails, the directory is as it was, including times, and the copy is removed."""
    before = {path: (content, (root / path).lstat().st_mtime_ns) for path, content in tree(root).items()}
    identity = root.stat().st_ino
    with suppress(ZeroDivisionError), storage.exclusive(0), storage.atomic_copy() as copy:
        change(copy)
        raise ZeroDivisionError
    assert {path: (content, (root / path).lstat().st_mtime_ns) for path, content in tree(root).items()} == before
    assert (root.stat().st_ino, [path.name for path in root.parent.iterdir()]) == (identity, [root.name])


def test_downloads_go_on_after_an_exception(storage: LocalStorage, root: Path) -> None:
    """The fetched part of a large file is kept for the next sync, unless its directory was new."""

    def fetch(expected: int) -> None:
        with storage.exclusive(0), storage.atomic_copy() as copy, copy.writer(may_replace=lambda path: False) as writer:
            for path in ("dir/large", "new/large"):
                new_file = writer.create(path, size=6, metadata=PLAIN, resume_key="1")
                assert new_file.written == (expected if path == "dir/large" else 0)
                new_file.write(b"abc")
                if new_file.written < 6:
                    raise ZeroDivisionError
                new_file.finish()
                break

    with suppress(ZeroDivisionError):
        fetch(0)
    assert [path.parent.name for path in root.rglob("*.resume")] == ["dir"]
    fetch(3)
    assert (root / "dir" / "large").read_bytes() == b"abcabc"
    assert list(root.rglob(".airflow*")) == []


def test_readers_never_see_a_mixture(tmp_path: Path) -> None:
    """A reader sees only old or only new files, while syncs replace the directory again and again."""
    root = tmp_path / "root"
    root.mkdir()
    storage = LocalStorage(root)
    names = [f"f{number}" for number in range(5)]
    for name in names:
        (root / name).write_bytes(b"0")
    stop = threading.Event()
    mixtures: list[set[bytes]] = []
    rounds = 0

    def read() -> None:
        nonlocal rounds
        while not stop.is_set():
            descriptor = os.open(root, os.O_RDONLY)
            # The old directory is removed after the exchange, while somebody still reads it.
            with suppress(FileNotFoundError):
                seen = set()
                for name in names:
                    file = os.open(name, os.O_RDONLY, dir_fd=descriptor)
                    seen.add(os.read(file, 9))
                    os.close(file)
                rounds += 1
                if len(seen) > 1:
                    mixtures.append(seen)
            os.close(descriptor)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        number = 0
        while rounds < 50 or number < 20:
            number += 1
            with (
                storage.exclusive(0),
                storage.atomic_copy(durable=False) as copy,
                copy.writer(durable=False, may_replace=lambda path: False) as writer,
            ):
                for name in names:
                    writer.put(name, str(number).encode(), PLAIN)
                    writer.commit()
    finally:
        stop.set()
        reader.join()
    assert mixtures == []


@pytest.mark.parametrize("when", ["copying", "writing", "replaced"])
def test_a_killed_sync(storage: LocalStorage, root: Path, when: str) -> None:
    """A killed process leaves the old or the new tree; the next sync removes its other files."""
    before = tree(root)
    code = """if True:
        import os, signal, sys
        from contextlib import suppress
        from airflow_provider_sync.files import open_storage
        from airflow_provider_sync.files.local import atomic_tree, tree_copy
        from airflow_provider_sync.files.tree_writer import Metadata
        storage, when = open_storage(sys.argv[1]), sys.argv[2]
        def kill(*arguments, **options):
            os.kill(os.getpid(), signal.SIGKILL)
        if when == "copying":
            tree_copy.TreeCopy._finish_directory = kill
        if when == "replaced":
            atomic_tree.AtomicTree._remove_copy = lambda self, above: (self.path.exists() and kill())
        with storage.exclusive(0), storage.atomic_copy() as copy, copy.writer(may_replace=lambda path: False) as writer:
            writer.put("changed", b"new", Metadata())
            writer.commit()
            if when == "writing":
                kill()
    """
    outcome = subprocess.run([sys.executable, "-c", code, root, when], cwd=PROJECT, check=False, capture_output=True, text=True)
    assert outcome.returncode == -signal.SIGKILL, outcome.stderr
    assert tree(root) == ({**before, "changed": b"new"} if when == "replaced" else before)
    assert {path.name for path in root.parent.iterdir()} == {root.name, copy_name(root.name)}
    assert storage.clean(3600) == 0
    with storage.exclusive(0):
        assert storage.clean(0) == 1
    assert [path.name for path in root.parent.iterdir()] == [root.name]


def test_a_copy_in_use_is_not_removed(storage: LocalStorage, root: Path) -> None:
    """Clean-up does not remove a running sync's copy, and the next sync replaces an old copy."""
    (root.parent / copy_name(root.name)).mkdir()
    (root.parent / copy_name(root.name) / "left").write_bytes(b"x")
    with storage.exclusive(0), storage.atomic_copy() as copy:
        assert not (copy.root / "left").exists()
        assert storage.clean(0) == 0
    assert "left" not in tree(root)


def test_what_beside_a_root_is_no_copy(tmp_path: Path) -> None:
    """A file or link with the copy's name is not a copy, and clean-up does not follow it."""
    (tmp_path / "root").mkdir()
    (tmp_path / "x").mkdir()
    (tmp_path / copy_name("root")).symlink_to(tmp_path / "x")
    storage = LocalStorage(tmp_path / "root")
    assert storage.clean(0) == 0
    assert (tmp_path / "x").is_dir()


def test_a_root_behind_a_link(tmp_path: Path) -> None:
    """If the configured path is a link, its directory is replaced, and the link stays."""
    (tmp_path / "real" / "there").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/there")
    storage = LocalStorage(tmp_path / "link")
    with storage.exclusive(0), storage.atomic_copy() as copy, copy.writer(may_replace=lambda path: False) as writer:
        writer.put("new", b"new", PLAIN)
    assert tree(tmp_path) == {"real": None, "real/there": None, "real/there/new": b"new", "link": b"-> real/there"}


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS])
def test_file_systems_without_an_exchange(storage: LocalStorage, root: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """If two directories cannot be exchanged, that is an error before anything is written."""

    def exchange(one: str, other: str, *, directory: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("airflow_provider_sync.files.local.atomic_tree.exchange", exchange)
    before = tree(root)
    with pytest.raises(ConfigurationError, match=r"atomic: the file system of .* cannot exchange two directories"):
        storage.atomic_copy().__enter__()
    assert tree(root) == before
    assert [path.name for path in root.parent.iterdir()] == [root.name]


def test_an_exchange_that_fails(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the last step fails, the old tree stays."""
    before = tree(root)

    def run() -> None:
        with storage.atomic_copy() as copy:
            change(copy)

            def exchange(one: str, other: str, *, directory: int) -> None:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

            monkeypatch.setattr("airflow_provider_sync.files.local.atomic_tree.exchange", exchange)

    with pytest.raises(FileError, match=r"Cannot replace .*: Device or resource busy"):
        run()
    assert tree(root) == before


def test_mount_points_are_refused(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount point cannot be exchanged, and a disk mounted below cannot move along."""
    with pytest.raises(ConfigurationError, match="atomic: / is a mount point"):
        LocalStorage(Path("/")).atomic_copy().__enter__()
    original = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        status = original(descriptor)
        if Path(f"/proc/self/fd/{descriptor}").readlink() != root / "dir":
            return status
        fields = list(status)
        fields[2] += 1
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(FileError, match=r"atomic: another disk is mounted at 'dir' in "):
        storage.atomic_copy().__enter__()
    assert [path.name for path in root.parent.iterdir()] == [root.name]


@pytest.mark.parametrize("code", [errno.EPERM, errno.EMLINK])
def test_without_hard_links(storage: LocalStorage, root: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """If files cannot have a second name, they are copied, with times, permissions and attributes."""

    def link(*arguments: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    (root / "same").chmod(0o640)
    os.setxattr(root / "same", "user.note", b"x")
    monkeypatch.setattr(os, "link", link)
    before = (root / "same").stat()
    with storage.exclusive(0), storage.atomic_copy() as copy:
        change(copy)
    assert tree(root) == CHANGED
    after = (root / "same").stat()
    assert after.st_ino != before.st_ino
    assert (after.st_mode, after.st_mtime_ns, os.getxattr(root / "same", "user.note")) == (
        before.st_mode,
        before.st_mtime_ns,
        b"x",
    )


def test_special_files(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gets a second name; without hard links it cannot be copied, and is named."""
    os.mkfifo(root / "dir" / "pipe")
    with storage.atomic_copy():
        pass
    assert (root / "dir" / "pipe").is_fifo()

    def link(*arguments: object, **options: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(FileError, match=r"Cannot copy 'dir/pipe' in .*: No such device or address"):
        storage.atomic_copy().__enter__()
    assert (root / "dir" / "pipe").is_fifo()


def test_a_tree_that_changes_while_it_is_copied(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that another program removes during the copy are left out."""
    original = os.stat

    def stat_and_remove(path: object, **options: object) -> os.stat_result:
        if path == "changed":
            for name in ("changed", "dir/same", "removed"):
                (root / name).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                (root / "dir").rmdir()
        return original(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", stat_and_remove)
    with storage.atomic_copy() as copy:
        monkeypatch.undo()
        assert set(tree(copy.root)) == {"same", "touched", "link"}


def test_permissions_are_missing(public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """If the parent directory may not be written, that is an error, and the tree stays."""
    (public_root / "root").mkdir()
    (public_root / "root" / "x").write_bytes(b"x")
    public_root.chmod(0o755)
    code = """
        from airflow_provider_sync.exceptions import FileError
        try:
            airflow_provider_sync.files.open_storage(sys.argv[1]).atomic_copy().__enter__()
        except FileError as error:
            print(error)
    """
    outcome = run_as_user(code, str(public_root / "root"))
    assert "Permission denied. Give the user of this process access to it." in outcome.stdout, outcome.stderr
    assert tree(public_root) == {"root": None, "root/x": b"x"}


@pytest.mark.parametrize("folder", ["backup", "../elsewhere"])
@pytest.mark.parametrize("absolute", [True, False])
def test_backups_of_an_atomic_sync(storage: LocalStorage, root: Path, folder: str, absolute: bool) -> None:
    """The backup has the same place as without ``atomic``, inside the root or not."""
    with storage.exclusive(0), storage.atomic_copy() as copy:
        backup = Backup(str(root / folder) if absolute else folder)
        with copy.writer(may_replace=lambda path: False, backup=backup) as writer:
            writer.put("changed", b"new", PLAIN)
            writer.commit()
            writer.remove("removed")
    (run,) = (root / folder).iterdir()
    assert tree(run) == {"changed": b"old", "removed": b"old"}
    assert (root / "changed").read_bytes() == b"new"


def test_directories_that_may_not_be_written(
    public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """A read-only directory is copied, and the old one removed, by its owner."""
    code = """
        from pathlib import Path
        root = Path(sys.argv[1]) / "root"
        (root / "closed" / "sub").mkdir(parents=True)
        (root / "closed" / "sub" / "x").write_bytes(b"x")
        (root / "closed").chmod(0o555)
        storage = airflow_provider_sync.files.open_storage(str(root))
        with storage.exclusive(0), storage.atomic_copy():
            pass
        print(oct((root / "closed").stat().st_mode), sorted(os.listdir(sys.argv[1])))
    """
    outcome = run_as_user(code, str(public_root))
    assert outcome.stdout == "0o40555 ['root']\n", outcome.stderr
    assert tree(public_root / "root") == {"closed": None, "closed/sub": None, "closed/sub/x": b"x"}

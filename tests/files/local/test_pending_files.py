"""How content becomes durable before it gets its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_sync.files.local import linux_calls, open_directories, pending_files
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.local.pending_files import MAX_HELD, SLOW_SECONDS, Durability, PendingFile
from tests.files.local.writing import PLAIN

MANY = 2 * MAX_HELD


class Syncs:
    """What was made durable, and whether it had its name by then."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: list[str] = []
        self.directories: list[str] = []
        self.whole: list[int] = []
        self._root = root
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)
        for module in (pending_files, open_directories):
            monkeypatch.setattr(module, "sync_file_system", self.sync_file_system)

    def fsync(self, descriptor: int) -> None:
        """Sync one file or directory."""
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        (self.directories if path.is_dir() else self.files).append(path.relative_to(self._root).as_posix())
        self._fsync(descriptor)

    def sync_file_system(self, descriptor: int) -> None:
        """Sync everything; keep how many files had their names."""
        self.whole.append(sum(1 for path in self._root.rglob("f*") if path.is_file()))


@pytest.fixture
def syncs(root: Path, monkeypatch: pytest.MonkeyPatch) -> Syncs:
    """What is synced in ``root``."""
    return Syncs(root, monkeypatch)


def write(root: Path, files: int, *, durable: bool = True, directories: int = 2) -> None:
    """Write some files."""
    with LocalStorage(root).writer(durable=durable, may_replace=lambda path: False) as writer:
        for number in range(files):
            writer.put(f"d{number % directories}/f{number}", b"x", PLAIN)


def test_few_files_are_synced_each(root: Path, syncs: Syncs) -> None:
    """A few files are synced under their temporary names, then the directories with their names."""
    write(root, 5)
    assert len(syncs.files) == 5
    assert all(Path(path).name.startswith(".airflow-sync-") for path in syncs.files)
    assert sorted(syncs.directories) == [".", "d0", "d1"]
    assert syncs.whole == []


def test_many_files_are_synced_at_once(root: Path, syncs: Syncs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many files are synced with their file system before the first gets its name, and then the names."""
    for module in (pending_files, open_directories):
        monkeypatch.setattr(module, "syncs_as_a_whole", lambda descriptor: True)
    write(root, MANY, directories=MANY)
    assert syncs.whole == [0, MANY]
    assert (syncs.files, syncs.directories) == ([], [])


def test_file_systems_that_must_be_synced_file_by_file(root: Path, syncs: Syncs, monkeypatch: pytest.MonkeyPatch) -> None:
    """If syncing a whole file system proves nothing, each file and directory is synced."""
    for module in (pending_files, open_directories):
        monkeypatch.setattr(module, "syncs_as_a_whole", lambda descriptor: False)
    write(root, MANY, directories=MANY)
    assert (len(set(syncs.files)), len(set(syncs.directories)), syncs.whole) == (MANY, MANY + 1, [])


def test_without_durability_nothing_is_synced(root: Path, syncs: Syncs) -> None:
    """Without durability, no file is synced."""
    write(root, MANY, durable=False)
    assert (syncs.files, syncs.directories, syncs.whole) == ([], [], [])


def test_a_slow_disk_of_others(root: Path, syncs: Syncs, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a sync of the whole file system waits for other programs, files are synced one by one from then on."""
    monkeypatch.setattr(pending_files, "syncs_as_a_whole", lambda descriptor: True)
    times = iter([0.0, SLOW_SECONDS + 1])
    descriptor = os.open(root, os.O_RDONLY)

    def pending(number: int, durability: Durability) -> PendingFile:
        file = PendingFile(f"f{number}", f".airflow-sync-{number:016x}.part")
        content = os.open(root / file.temporary, os.O_WRONLY | os.O_CREAT)
        durability.hold_or_close(file, content, waiting=number)
        return file

    durability = Durability(
        descriptor,
        "root",
        wanted=True,
        reopen=lambda file: os.open(root / file.temporary, os.O_RDONLY),
        now=lambda: next(times),
    )
    files = [pending(number, durability) for number in range(MANY)]
    durability.sync(files[: MAX_HELD + 1])
    assert (len(syncs.whole), syncs.files) == (1, [])
    # These were closed when they would still be synced as a whole.
    durability.sync(files[MAX_HELD + 1 :])
    assert (len(syncs.whole), len(set(syncs.files))) == (1, MAX_HELD - 1)
    syncs.files.clear()
    late = pending(MANY + 1, durability)
    assert len(syncs.files) == 1
    durability.sync([late])
    assert len(syncs.files) == 1
    for file in files:
        file.close()
    os.close(descriptor)


def test_which_file_systems_are_synced_as_a_whole(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only file systems that wait for the disk, on kernels that report errors, are synced as a whole."""
    descriptor, proc = os.open(root, os.O_RDONLY), os.open("/proc", os.O_RDONLY)
    try:
        for number, expected in ((0xEF53, True), (0x9123683E, True), (0x794C7630, False)):
            monkeypatch.setattr(linux_calls, "_SYNCED_AS_A_WHOLE", {_kind(descriptor)} if expected else {number})
            assert linux_calls.syncs_as_a_whole(descriptor) is expected
        monkeypatch.setattr(linux_calls, "_SYNCED_AS_A_WHOLE", {_kind(descriptor)})
        assert not linux_calls.syncs_as_a_whole(proc)
        for release, expected in (("5.7.19-generic", False), ("5.8.0", True), ("6.18.44-x", True), ("odd", False)):
            monkeypatch.setattr(linux_calls.platform, "release", lambda release=release: release)
            assert linux_calls.syncs_as_a_whole(descriptor) is expected
        linux_calls._function.cache_clear()
        monkeypatch.setattr(linux_calls.platform, "system", lambda: "Other")
        assert not linux_calls.syncs_as_a_whole(descriptor)
        with pytest.raises(OSError, match="Function not implemented"):
            linux_calls.sync_file_system(descriptor)
        linux_calls.start_writing(descriptor, 0, 10)
    finally:
        linux_calls._function.cache_clear()
        os.close(descriptor)
        os.close(proc)


def _kind(descriptor: int) -> int:
    import ctypes

    buffer = ctypes.create_string_buffer(256)
    assert ctypes.CDLL(None).fstatfs(descriptor, buffer) == 0
    return ctypes.c_ulong.from_buffer(buffer).value & 0xFFFFFFFF


def test_the_calls_themselves(root: Path) -> None:
    """Syncing, exchanging two names and starting to write work on this system, and errors are raised."""
    (root / "a").write_bytes(b"a")
    (root / "b").mkdir()
    descriptor = os.open(root, os.O_RDONLY)
    try:
        linux_calls.sync_file_system(descriptor)
        linux_calls.exchange("a", "b", directory=descriptor)
        assert (root / "b").read_bytes() == b"a"
        with pytest.raises(FileNotFoundError):
            linux_calls.exchange("a", "missing", directory=descriptor)
        with pytest.raises(OSError, match="Bad file descriptor"):
            linux_calls.sync_file_system(-1)
        with (root / "b").open("rb+") as file:
            linux_calls.start_writing(file.fileno(), 0, 1)
    finally:
        os.close(descriptor)


def test_without_ctypes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``ctypes``, these calls are not used."""
    import sys

    monkeypatch.setitem(sys.modules, "ctypes", None)
    linux_calls._function.cache_clear()
    try:
        descriptor = os.open(root, os.O_RDONLY)
        assert not linux_calls.syncs_as_a_whole(descriptor)
        linux_calls.start_writing(descriptor, 0, 1)
        with pytest.raises(OSError, match="Function not implemented"):
            linux_calls.exchange("a", "b", directory=descriptor)
        os.close(descriptor)
        write(root, MANY)
    finally:
        linux_calls._function.cache_clear()
    assert sum(1 for path in root.rglob("f*") if path.is_file()) == MANY

"""Log files: rotation, several processes, and disks that are full."""

from __future__ import annotations

import fcntl
import logging
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from airflow_provider_sync.logs.files import LogFile

_WRITES = """
import logging, sys
from airflow_provider_sync.logs.files import LogFile
log = logging.getLogger("x")
log.addHandler(LogFile(sys.argv[1], 2000, 100))
for number in range(200):
    log.error("%s %03d", sys.argv[2], number)
"""


@contextmanager
def logging_to(path: Path, **options: int) -> Iterator[logging.Logger]:
    """Give a logger that nobody else knows, and that writes to a file."""
    with closing(LogFile(str(path), **options)) as handler:
        logger = logging.Logger("test")
        logger.addHandler(handler)
        yield logger


def test_rotation(tmp_path: Path) -> None:
    """A full file is renamed, a new one begins, the number of files is limited, and the folder is created."""
    path = tmp_path / "logs" / "sync.log"
    with logging_to(path, max_bytes=100, backups=2) as log:
        for number in range(30):
            log.error("line %02d", number)
    assert sorted(file.name for file in path.parent.iterdir()) == ["sync.log", "sync.log.1", "sync.log.2", "sync.log.lock"]
    assert all(file.stat().st_size <= 100 for file in path.parent.iterdir())
    assert path.read_text().splitlines()[-1] == "line 29"


def test_several_processes(tmp_path: Path) -> None:
    """Processes that share a file lose no line if one of them rotates it."""
    path = tmp_path / "sync.log"
    writers = [subprocess.Popen([sys.executable, "-c", _WRITES, str(path), name]) for name in ("a", "b", "c")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    lines = [line for file in tmp_path.glob("sync.log*") for line in file.read_text().splitlines()]
    assert sorted(lines) == [f"{name} {number:03d}" for name in ("a", "b", "c") for number in range(200)]


def test_a_lock_that_somebody_else_holds(tmp_path: Path) -> None:
    """No line waits for another process's rotation lock, and only the log's user may hold it."""
    path = tmp_path / "sync.log"
    lock = tmp_path / "sync.log.lock"
    with logging_to(path, max_bytes=20) as log:
        log.error("before the lock")
        log.error("makes the lock")
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
        with lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            log.error("while it is held")
        log.error("after the lock")
    assert path.read_text() == "after the lock\n"
    assert (tmp_path / "sync.log.1").read_text() == "makes the lock\nwhile it is held\n"


def test_a_link_in_place_of_the_lock(tmp_path: Path) -> None:
    """A link in place of the lock file changes no other file; the log grows instead of rotating."""
    other = tmp_path / "other"
    other.write_text("precious")
    path = tmp_path / "logs" / "sync.log"
    path.parent.mkdir()
    (tmp_path / "logs" / "sync.log.lock").symlink_to(other)
    with logging_to(path, max_bytes=10) as log:
        log.error("first line")
        log.error("second line")
    assert (other.read_text(), path.read_text()) == ("precious", "first line\nsecond line\n")


def test_a_file_that_is_moved_away(tmp_path: Path) -> None:
    """If logrotate renames or removes a file, a new one begins."""
    path = tmp_path / "sync.log"
    with logging_to(path, max_bytes=0) as log:
        log.error("one")
        path.rename(tmp_path / "old.log")
        log.error("two")
        assert (path.read_text(), (tmp_path / "old.log").read_text()) == ("two\n", "one\n")
        path.unlink()
        log.error("three")
    assert path.read_text() == "three\n"


def test_a_line_that_was_torn(tmp_path: Path) -> None:
    """After a line that was cut by a full disk, the next line begins on a new line."""
    path = tmp_path / "audit.jsonl"
    for before, after in (('{"n": 1}\n{"n": 2', '{"n": 1}\n{"n": 2\n{"n": 3}\n'), ('{"n": 1}\n', '{"n": 1}\n{"n": 3}\n')):
        path.write_text(before)
        with logging_to(path, max_bytes=0) as log:
            log.error('{"n": 3}')
        assert path.read_text() == after


@pytest.mark.parametrize("where", ["full", "no folder", "a folder"])
def test_a_file_that_cannot_be_written(tmp_path: Path, where: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An unwritable log stops nothing; standard error says so once, and once when it is writable again."""
    path = {"full": Path("/dev/full"), "no folder": tmp_path / "file" / "sync.log", "a folder": tmp_path}[where]
    (tmp_path / "file").write_text("in the way")
    with logging_to(path) as log:
        for number in range(3):
            log.error("line %d", number)
        printed = capsys.readouterr().err
        assert printed.count("\n") == 1
        assert printed.startswith(f"The log file {path} cannot be written: ")
        if where == "no folder":
            path.parent.unlink()
            log.error("line 3")
            assert capsys.readouterr().err == f"The log file {path} is written again; 3 lines were lost.\n"
            assert path.read_text() == "line 3\n"


def test_a_file_that_cannot_be_rotated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that can be written but not renamed grows and loses no line; standard error says so once."""
    path = tmp_path / "sync.log"
    in_the_way = tmp_path / "sync.log.1"
    in_the_way.mkdir()
    with logging_to(path, max_bytes=20, backups=1) as log:
        for number in range(5):
            log.error("line %d", number)
        assert path.read_text().splitlines() == [f"line {number}" for number in range(5)]
        printed = capsys.readouterr().err
        assert printed.count("\n") == 1
        assert printed.startswith(f"The log file {path} cannot be rotated: ")
        in_the_way.rmdir()
        log.error("line 5")
    assert path.read_text() == "line 5\n"
    assert capsys.readouterr().err == ""


def test_links(tmp_path: Path) -> None:
    """A link is written through and never renamed, such as `/dev/stderr`, which other programs need."""
    path, target = tmp_path / "stderr", tmp_path / "output"
    path.symlink_to(target)
    with logging_to(path, max_bytes=10, backups=2) as log:
        for number in range(5):
            log.error("line %d", number)
    assert path.is_symlink()
    assert target.read_text().splitlines() == [f"line {number}" for number in range(5)]
    assert {file.name for file in tmp_path.iterdir()} == {"stderr", "output"}

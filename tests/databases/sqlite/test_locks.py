"""Lock files beside a database that several users share."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from airflow_provider_sync.databases.sqlite.locks import hold_locks
from airflow_provider_sync.exceptions import TableBusyError, TableError

LOCK = "shop.db-sync-0123456789abcdef.lock"

HOLD = """
import os, sys, time
from airflow_provider_sync.databases.sqlite.locks import hold_locks
os.umask(0o077)
# Only now: another user may not read the modules.
user = int(sys.argv[2])
if user:
    os.setgroups([]); os.setgid(user); os.setuid(user)
with hold_locks({sys.argv[1]: "orders"}, timeout=0):
    print("held", flush=True)
    if sys.argv[3] == "wait":
        time.sleep(60)
"""


@pytest.fixture
def database() -> Iterator[Path]:
    """Have a database in a folder that other users reach."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "shop.db"
        path.touch()
        path.chmod(0o664)
        yield path


@contextmanager
def holder(lock: Path, *, user: int = 0) -> Iterator[subprocess.Popen[str]]:
    """Have another process hold a lock."""
    command = [sys.executable, "-c", HOLD, str(lock), str(user), "wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o666, 0o640])
def test_whoever_may_use_the_database_may_lock_it(database: Path, mode: int) -> None:
    """A lock file has the permissions of its database, with any umask."""
    database.chmod(mode)
    lock = database.with_name(LOCK)
    before = os.umask(0o077)
    try:
        with hold_locks({str(lock): "orders"}, timeout=0):
            assert lock.stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)
    assert not lock.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_a_lock_file_of_root(database: Path) -> None:
    """The database's owner can use the lock file of a killed root process."""
    nobody = pwd.getpwnam("nobody").pw_uid
    lock = database.with_name(LOCK)
    for path in (database, database.parent):
        os.chown(path, nobody, -1)
    with holder(lock):
        assert lock.stat().st_uid == nobody
        command = [sys.executable, "-c", HOLD, str(lock), str(nobody), "end"]
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "another sync" in refused.stderr.lower()
    assert lock.exists()
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stdout == "held\n", ended.stderr
    assert not lock.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_a_lock_file_of_somebody_else(database: Path) -> None:
    """In a folder with the sticky bit, another user's readable lock file can be used, and stays."""
    nobody = pwd.getpwnam("nobody").pw_uid
    database.chmod(0o666)
    database.parent.chmod(0o1777)
    lock = database.with_name(LOCK)
    lock.touch()
    lock.chmod(0o644)
    command = [sys.executable, "-c", HOLD, str(lock), str(nobody), "end"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stdout == "held\n", ended.stderr
    assert lock.exists()
    lock.chmod(0o600)
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Permission denied" in refused.stderr
    assert "may be removed when no sync runs" in refused.stderr


def test_what_stands_in_its_place(database: Path) -> None:
    """A link, a folder or a FIFO in place of the lock file is refused, and a link's target is not changed."""
    lock = database.with_name(LOCK)
    elsewhere = database.with_name("precious")
    for make in (lambda: lock.symlink_to(elsewhere), lambda: os.mkfifo(lock)):
        make()
        with pytest.raises(TableError, match=LOCK), hold_locks({str(lock): "orders"}, timeout=0):
            pytest.fail("locked")
        lock.unlink()
    lock.mkdir()
    with pytest.raises(TableError, match=LOCK), hold_locks({str(lock): "orders"}, timeout=0):
        pytest.fail("locked")
    assert not elsewhere.exists()
    elsewhere.write_text("mine")
    lock.rmdir()
    lock.symlink_to(elsewhere)
    with pytest.raises(TableError, match="a link has its name"), hold_locks({str(lock): "orders"}, timeout=0):
        pytest.fail("locked")
    assert elsewhere.read_text() == "mine"


def test_another_process_holds_it(database: Path) -> None:
    """A lock that another process holds is busy, and free after that process was killed."""
    lock = database.with_name(LOCK)
    with holder(lock) as process:
        with pytest.raises(TableBusyError), hold_locks({str(lock): "orders"}, timeout=0):
            pytest.fail("locked")
        process.kill()
        process.wait()
        with hold_locks({str(lock): "orders"}, timeout=0):
            pass
    assert not lock.exists()

"""One sync of a directory at a time."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import DirectoryBusyError
from airflow_provider_sync.files.local.local_storage import LocalStorage
from tests.files.conftest import PROJECT, get, put, tree


def test_one_sync_at_a_time(storage: LocalStorage, root: Path) -> None:
    """While one sync holds the lock, others wait and then fail transiently; nothing is left of the lock."""
    with storage.exclusive(0):
        with pytest.raises(DirectoryBusyError, match="Another sync has held") as failure, LocalStorage(root).exclusive(0.1):
            pytest.fail("two at once")
        assert failure.value.retryable
        put(storage, "x")
    with LocalStorage(root).exclusive(0):
        assert tree(root) == {"x": b"content"}


def test_the_lock_waits_for_its_turn(storage: LocalStorage, root: Path) -> None:
    """A waiting sync gets the lock when the other one releases it."""
    entered, order = threading.Event(), []

    def hold() -> None:
        with LocalStorage(root).exclusive(0):
            entered.set()
            order.append("first")

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait()
    with storage.exclusive(60):
        order.append("second")
    holder.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_root_that_was_made_for_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    """If a sync fails before it received anything, directories that it created are removed, unless they have content."""
    root = tmp_path / "a" / "b" / "c"

    def fail(path: str | None, root: Path = root) -> None:
        with LocalStorage(root).exclusive(0):
            assert root.is_dir()
            if path is not None:
                (tmp_path / path).write_bytes(b"x")
            raise error

    with pytest.raises(error):
        fail(None)
    assert tree(tmp_path) == {}
    with pytest.raises(error):
        fail("a/theirs")
    assert tree(tmp_path) == {"a": None, "a/theirs": b"x"}
    with pytest.raises(error):
        fail("a/b/c/file")
    with pytest.raises(error):
        fail(None, tmp_path / "a" / "b" / "c")
    assert tree(tmp_path) == {"a": None, "a/theirs": b"x", "a/b": None, "a/b/c": None, "a/b/c/file": b"x"}


def test_the_lock_of_a_killed_process_is_free(storage: LocalStorage, root: Path) -> None:
    """The lock of a killed sync is free."""
    code = """if True:
        import os, signal, sys
        from airflow_provider_sync.files import open_storage
        with open_storage(sys.argv[1]).exclusive(0):
            os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", code, root], cwd=PROJECT, check=False)
    with storage.exclusive(0):
        put(storage, "x")
    assert get(storage, "x") == b"content"


def test_no_locks_on_the_file_system(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a file system without locks, the sync continues, and the log says so."""
    import fcntl

    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with storage.exclusive(0):
        put(storage, "x")
    assert "without locks" in caplog.text

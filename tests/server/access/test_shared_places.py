"""Places that processes share."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from airflow_provider_sync.server.access.shared_places import SharedPlaces
from airflow_provider_sync.server.http_errors import RequestEnded

TAKE = """
import sys
from pathlib import Path
from airflow_provider_sync.server.access.shared_places import SharedPlaces
place = SharedPlaces(Path(sys.argv[1])).take("requests", 2)
print(place is not None, flush=True)
sys.stdin.read()
"""


def test_as_many_as_there_are(tmp_path: Path) -> None:
    """There are exactly as many places of a kind as configured, and a returned place is free."""
    places = SharedPlaces(tmp_path)
    first, second = places.take("a", 2), places.take("a", 2)
    assert first is not None
    assert second is not None
    assert places.take("a", 2) is None
    other = places.take("sqlite:////b?password=secret", 1)
    assert other is not None
    first.close()
    third = places.take("a", 2)
    assert third is not None
    for place in (second, third, other):
        place.close()
    assert not any("secret" in path.name for path in tmp_path.iterdir())


def test_processes_share_them(tmp_path: Path) -> None:
    """A place of one process is not available to others, and is free after the process was killed."""
    places = SharedPlaces(tmp_path)
    with subprocess.Popen([sys.executable, "-c", TAKE, str(tmp_path)], stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        with closing(places.take("requests", 2)):  # type: ignore[type-var]  # there is one
            assert places.take("requests", 2) is None
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert places.take("requests", 2) is not None


def test_a_folder_that_was_removed(tmp_path: Path) -> None:
    """The folder is locked against clean-up of temporary files, and created again if it was removed."""
    given = tmp_path / "given"
    given.mkdir()
    for places in (SharedPlaces(given), SharedPlaces()):
        with closing(places.take("a", 1)):  # type: ignore[type-var]  # there is one
            folder = places._folder
            cleaner = os.open(folder, os.O_RDONLY)
            with pytest.raises(BlockingIOError):
                fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(cleaner)
        shutil.rmtree(folder)
        with closing(places.take("a", 1)):  # type: ignore[type-var]  # there is one
            assert places.take("a", 1) is None
            assert folder.stat().st_mode & 0o777 == 0o700


def test_waiting(tmp_path: Path) -> None:
    """A waiting request gets the next free place, or none when its time is over; a cancelled request stops waiting."""
    places = SharedPlaces()
    held = places.take("a", 1)
    assert held is not None
    assert places.wait_for("a", 1, seconds=0.05, check=lambda: None) is None

    def ended() -> None:
        raise RequestEnded("The request was ended.")

    with pytest.raises(RequestEnded):
        places.wait_for("a", 1, seconds=60, check=ended)
    found: list[object] = []
    waiter = Thread(target=lambda: found.append(places.wait_for("a", 1, seconds=60, check=lambda: None)))
    waiter.start()
    held.close()
    waiter.join()
    assert found[0] is not None

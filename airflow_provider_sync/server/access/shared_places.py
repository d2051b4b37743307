"""Limits shared by several processes: each place is a locked file.

The kernel releases the lock however its process ends, so a killed process does not keep its place.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import weakref
from collections.abc import Callable
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic, sleep

_PAUSE_SECONDS = 0.02
_MAX_PAUSE_SECONDS = 0.25


class Place:
    """One place, taken until it is closed.

    :param descriptor: descriptor of the locked file
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        """Free the place."""
        os.close(self._descriptor)


class SharedPlaces:
    """Places of several kinds, in one folder that all processes use.

    :param folder: a folder that only this user may write to; by default a new one, which no other process uses
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._given = folder
        if folder is not None:
            self._keep(folder)

    @cached_property
    def _folder(self) -> Path:
        if self._given is not None:
            return self._given
        own = Path(mkdtemp(prefix="airflow-sync-"))
        weakref.finalize(self, shutil.rmtree, own, ignore_errors=True)
        self._keep(own)
        return own

    def _keep(self, folder: Path) -> None:
        """Lock a folder, so that systemd does not remove old files from it (tmpfiles.d(5)); child processes inherit the lock."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)

    def take(self, kind: str, count: int) -> Place | None:
        """Take one of ``count`` places; ``None`` if none is free.

        :param kind: such as ``requests``, or the URL of a database
        """
        # Hashed, since a URL contains secrets, and characters that a file name cannot have.
        name = sha256(kind.encode()).hexdigest()[:16]
        for number in range(count):
            descriptor = self._open(f"{name}.{number}")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            else:
                return Place(descriptor)
        return None

    def _open(self, name: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self._folder / name, flags, 0o600)
        except FileNotFoundError:
            # Other programs than systemd may remove old files, too, and the server must keep working.
            self._folder.mkdir(mode=0o700, exist_ok=True)
            return os.open(self._folder / name, flags, 0o600)

    def wait_for(self, kind: str, count: int, *, seconds: float, check: Callable[[], None]) -> Place | None:
        """Take a place, and wait for one if none is free; ``None`` if none became free in time.

        :param check: called regularly; may raise an error to end the wait
        """
        until = monotonic() + seconds
        pause = _PAUSE_SECONDS
        while (place := self.take(kind, count)) is None:
            check()
            if monotonic() > until:
                return None
            sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE_SECONDS)
        return place

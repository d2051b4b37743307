"""What the tests of the local writer share."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.local.writer import LocalTreeWriter
from airflow_provider_sync.files.tree_writer import Metadata

LONG_AGO = 1_000_000_000_123_456_789
OLD = Metadata(LONG_AGO)
PLAIN = Metadata()


def break_off(storage: LocalStorage, work: Callable[[LocalTreeWriter], object], may_replace: bool = False) -> None:
    """Do ``work`` with a writer, then end its block by an exception, which is caught."""
    with suppress(ZeroDivisionError), storage.writer(may_replace=lambda path: may_replace) as writer:
        work(writer)
        raise ZeroDivisionError


@contextmanager
def swapping(directory: Path, outside: Path) -> Iterator[None]:
    """Keep swapping a directory for a link that leads out of the root, in a thread."""
    stop, away = threading.Event(), directory.with_name("away")

    def swap() -> None:
        while not stop.is_set():
            for step in (
                lambda: directory.rename(away),
                lambda: directory.symlink_to(outside),
                directory.unlink,
                lambda: away.rename(directory),
                directory.mkdir,
            ):
                # What is tested makes, replaces and removes the same names.
                with suppress(OSError):
                    step()
            shutil.rmtree(away, ignore_errors=True)

    directory.mkdir()
    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        yield
    finally:
        stop.set()
        swapper.join()


class FailingCall:
    """A function of ``os`` that fails for some files, as a full or broken disk makes it fail."""

    def __init__(self, name: str, number: int, fails: Callable[[str], bool], monkeypatch: pytest.MonkeyPatch) -> None:
        self._original = getattr(os, name)
        self._number = number
        self._fails = fails
        monkeypatch.setattr(os, name, self)

    def __call__(self, first: object, *arguments: object, **options: object) -> object:
        """Fail, or call the function."""
        name = (
            str(Path(f"/proc/self/fd/{first}").readlink())
            if isinstance(first, int)
            else str(arguments[0] if arguments else first)
        )
        if self._fails(name):
            raise OSError(self._number, os.strerror(self._number))
        return self._original(first, *arguments, **options)

"""What the tests of the local writer share."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
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


def open_descriptors() -> int:
    """How many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


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

"""The location of a file being written: its open directory, and its name in there."""

from __future__ import annotations

from types import TracebackType

from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.files.local.open_directories import OpenDirectories, OpenDirectory


class Place:
    """The open directory of a file and the file's name in there; errors of the system in the block become those of the file.

    A class, because a context manager that is a generator takes a microsecond for each file.
    """

    __slots__ = ("_directories", "_directory", "_doing", "_location", "_make", "_name", "_path")

    def __init__(self, directories: OpenDirectories, location: str, path: str, name: str, make: bool, doing: str) -> None:
        self._directories = directories
        self._location = location
        self._path = path
        self._name = name
        self._make = make
        self._doing = doing

    def __enter__(self) -> tuple[OpenDirectory, str]:
        try:
            self._directory = self._directories.use(self._path[: -len(self._name) - 1], make=self._make)
        except OSError as error:
            raise file_error(self._doing, self._path, self._location, error) from error
        return self._directory, self._name

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._directories.release(self._directory)
        if isinstance(error, OSError):
            raise file_error(self._doing, self._path, self._location, error) from error

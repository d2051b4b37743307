"""Stop reading a file when the request has ended, since a file may have hundreds of gigabytes."""

from __future__ import annotations

from typing import Any, BinaryIO

from airflow_provider_sync.server.active_requests import ActiveRequest


class StoppableFile:
    """A file whose reads fail once the request has ended.

    :param active: the request
    """

    def __init__(self, file: BinaryIO, active: ActiveRequest) -> None:
        self._file = file
        self._active = active

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._file, name)
        if name not in ("read", "readinto"):
            return found

        def read(*arguments: Any) -> Any:
            self._active.check()
            return found(*arguments)

        return read

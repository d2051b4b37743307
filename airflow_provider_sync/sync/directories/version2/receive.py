"""Write the content of one response as it arrives: small files at once, large files piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.tree_writer import NewFile
from airflow_provider_sync.protocol.v2.file_messages import Content
from airflow_provider_sync.sync.directories.version2.open_target import OpenTarget
from airflow_provider_sync.sync.directories.version2.plan import Step


class Receiver:
    """Writes the files of one request, in order; a context manager that discards an incomplete file at the end.

    :ivar done: number of files of the request that were written or failed
    """

    def __init__(self, steps: Sequence[Step], target: OpenTarget) -> None:
        self.done = 0
        self._steps = steps
        self._target = target
        self._file: NewFile | None = None
        self._fails = False

    def take(self, message: Content) -> FileError | None:
        """Write a piece of content; ignore the rest of a file that cannot be written.

        :return: the error if the file cannot be written; else ``None``
        """
        step = self._steps[message.number]
        try:
            if not self._fails:
                self._write(step, message)
        except FileError as error:
            self._discard()
            self._fails = True
            return error
        finally:
            if message.end is not None:
                self.skip()
        return None

    def _write(self, step: Step, message: Content) -> None:
        entry = step.source
        if entry is None:
            return
        if self._file is None:
            if message.end is not None:
                self._target.written.expect(step, message.end.digest)
                self._target.writer.put(entry.path, message.data, self._target.metadata_of(entry))
                return
            self._file = self._target.writer.create(entry.path, size=entry.size, metadata=self._target.metadata_of(entry))
        self._file.write(message.data)
        self._target.written.note_progress(len(message.data))
        if message.end is not None:
            self._target.written.expect(step, message.end.digest, is_counted=True)
            self._file.finish()
            self._file = None

    def skip(self) -> None:
        """Go on to the next file."""
        self._discard()
        self._fails = False
        self.done += 1

    def _discard(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._discard()

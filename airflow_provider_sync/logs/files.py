"""Log files that several processes share and that are rotated by size; a failing write never stops the program."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from airflow_provider_sync.printable import printable

DEFAULT_MAX_BYTES = 10 * 1024 * 1024
DEFAULT_BACKUPS = 5

_LOCK = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class LogFile(RotatingFileHandler):
    """Appends lines to a file; several processes may share it, and other programs may move it away.

    If the file cannot be written, its lines are lost, and standard error gets one message, and another one when writing works
    again. A file that cannot be rotated grows.

    :param path: of the file; its folder is made
    :param max_bytes: above it, the file is renamed to ``….1`` and a new one begun; 0 for never. A link is never renamed: it may
        be ``/dev/stderr``
    :param backups: how many renamed files are kept
    """

    def __init__(self, path: str, max_bytes: int = DEFAULT_MAX_BYTES, backups: int = DEFAULT_BACKUPS) -> None:
        super().__init__(path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8", errors="backslashreplace", delay=True)
        self._lost = 0
        self._grows = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it as lost."""
        try:
            self._follow()
            line = self.format(record)
            obstacle = self._rotate_if_full(line)
            stream = self._open_stream()
            stream.write(line + self.terminator)
            stream.flush()
        except OSError as error:
            self._give_up(error)
        except Exception:  # noqa: BLE001  # the contract of handlers: a line that cannot be made ends no request
            self.handleError(record)
        else:
            self._recover()
            self._note_growth(obstacle)

    def _follow(self) -> None:
        """Close the file if it was moved away, by another process or by logrotate."""
        if self.stream is None:
            return
        try:
            there = Path(self.baseFilename).stat()
        except FileNotFoundError:
            self._close_stream()
            return
        here = os.fstat(self.stream.fileno())
        if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
            self._close_stream()

    def _open_stream(self) -> TextIOWrapper:
        if self.stream is None:
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            self.stream = self._open()
            if self._ends_within_a_line():
                self.stream.write(self.terminator)
        return self.stream

    def _ends_within_a_line(self) -> bool:
        """Whether the end of a line is missing: of the one that filled the disk, or at which a process was killed."""
        path = Path(self.baseFilename)
        with suppress(OSError):  # of a file that may be written and not read
            if path.is_file() and path.stat().st_size:
                with path.open("rb") as file:
                    file.seek(-1, os.SEEK_END)
                    return file.read(1) != b"\n"
        return False

    def _is_full(self, line: str) -> bool:
        if self.maxBytes <= 0 or Path(self.baseFilename).is_symlink():
            return False
        written = os.fstat(self._open_stream().fileno()).st_size
        return written > 0 and written + len(line) >= self.maxBytes

    def _rotate_if_full(self, line: str) -> OSError | None:
        """Begin a new file if this one has no room for a line; return what keeps it from that."""
        if not self._is_full(line):
            return None
        try:
            lock = os.open(f"{self.baseFilename}.lock", _LOCK, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._follow()
                # Unless another process has done it by now.
                if self._is_full(line):
                    self.doRollover()
            finally:
                os.close(lock)
        except BlockingIOError:
            # Another process is about to do it. If it takes for ever, no line may wait for that.
            return None
        except OSError as error:
            return error
        return None

    def _note_growth(self, obstacle: OSError | None) -> None:
        if obstacle is not None and not self._grows:
            _say(f"The log file {self.baseFilename} cannot be rotated: {_reason(obstacle)}. It grows.")
        self._grows = obstacle is not None

    def _give_up(self, error: OSError) -> None:
        self._lost += 1
        # What is buffered would be tried again, and fail again, at each line and at the end.
        self._close_stream()
        if self._lost == 1:
            _say(f"The log file {self.baseFilename} cannot be written: {_reason(error)}. Work goes on without these lines.")

    def _recover(self) -> None:
        if self._lost:
            _say(f"The log file {self.baseFilename} is written again; {self._lost} lines were lost.")
            self._lost = 0

    def _close_stream(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _say(sentence: str) -> None:
    # Not to the log, which has failed; standard error may be closed, too.
    with suppress(OSError, ValueError):
        print(printable(sentence), file=sys.stderr, flush=True)  # noqa: T201  # the log itself fails

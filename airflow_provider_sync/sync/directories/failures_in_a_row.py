"""End a directory sync when many files fail in a row."""

from __future__ import annotations

from airflow_provider_sync.exceptions import FileError, IncompleteStreamError, SyncError
from airflow_provider_sync.files.file_errors import is_about_one_file
from airflow_provider_sync.sync.directories.outcome import Outcome

MAX_BROKEN_IN_A_ROW = 3
"""Consecutive files whose content stays incomplete after all ``retries``; with more, the connection counts as broken."""

MAX_FAILED_IN_A_ROW = 100
"""Consecutive files that cannot be written; with more, the target counts as broken."""


class FailuresInARow:
    """Records failed files in the outcome, and ends the sync if the failures do not concern single files."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self.reset()

    def reset(self) -> None:
        """Reset the count, since a file has arrived."""
        self._broken = self._failed = 0

    def note(self, path: str, error: FileError) -> None:
        """Record a file that cannot be written.

        :raises FileError: the error, if it concerns other files, too
        """
        if not is_about_one_file(error.__cause__):
            raise error
        self._failed += 1
        self._note(path, error, gives_up=self._failed > MAX_FAILED_IN_A_ROW)

    def note_broken(self, path: str, error: IncompleteStreamError) -> None:
        """Record a file whose content stays incomplete.

        :raises IncompleteStreamError: the error, if too many files failed like this
        """
        self._broken += 1
        self._note(path, error, gives_up=self._broken > MAX_BROKEN_IN_A_ROW)

    def _note(self, path: str, error: SyncError, *, gives_up: bool) -> None:
        self._outcome.note_failed(path, error)
        if gives_up:
            raise error

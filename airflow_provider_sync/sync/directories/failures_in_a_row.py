"""How many files may fail one after the other before the rest is not tried any more."""

from __future__ import annotations

from airflow_provider_sync.exceptions import FileError, IncompleteStreamError, SyncError
from airflow_provider_sync.files.file_errors import is_about_one_file
from airflow_provider_sync.sync.directories.outcome import Outcome

MAX_BROKEN_IN_A_ROW = 3
"""Files in a row whose content stays incomplete after all ``retries``; more of them are taken for a broken connection."""

MAX_FAILED_IN_A_ROW = 100
"""Files in a row that cannot be written; more of them are taken for a broken target."""


class FailuresInARow:
    """Notes files that fail, each in the outcome, and ends the sync where that is no matter of single files."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self.reset()

    def reset(self) -> None:
        """Count from zero, since a file has come."""
        self._broken = self._failed = 0

    def note(self, path: str, error: FileError) -> None:
        """Note a file that cannot be written.

        :raises FileError: the error, if it concerns other files, too
        """
        if not is_about_one_file(error.__cause__):
            raise error
        self._failed += 1
        self._note(path, error, gives_up=self._failed > MAX_FAILED_IN_A_ROW)

    def note_broken(self, path: str, error: IncompleteStreamError) -> None:
        """Note a file whose content stays incomplete.

        :raises IncompleteStreamError: the error, if there are many of them
        """
        self._broken += 1
        self._note(path, error, gives_up=self._broken > MAX_BROKEN_IN_A_ROW)

    def _note(self, path: str, error: SyncError, *, gives_up: bool) -> None:
        self._outcome.note_failed(path, error)
        if gives_up:
            raise error

"""Every error that a sync can end in.

::

    SyncError
    ├── ConfigurationError            an option is missing, wrong, or names something that does not exist
    ├── TransportError      retry     no connection, or no answer in time
    │   ├── ConnectionLimitError retry     a database has no connection left
    │   └── SessionTimeoutError retry      a database ended a session or a statement that took longer than it may
    ├── ProtocolError                 an answer that this version of the protocol does not allow
    │   └── IncompleteStreamError retry    the body of an answer is incomplete
    │       └── DamagedStreamError retry       it is not what the server sent
    ├── ServerError         retry if 410, 429 or 5xx    the server answered with an error
    ├── TableError                    a table, its columns or its rows
    │   ├── MissingTableError         there is no such table
    │   ├── ReferencedRowsError       rows that must not change refer to rows that would change
    │   ├── ReadOnlyError             the database, transaction or user may only read
    │   ├── DuplicateKeyError         several rows of the source have the same key in the target
    │   ├── TriggerError              a trigger of the target changed rows otherwise than the sync
    │   └── TableBusyError  retry     a lock was in the way, or the data changed during the sync
    │       ├── LockTimeoutError retry      timed out waiting for a lock
    │       ├── SourceChangedError retry    the source changed between two of its answers
    │       └── TargetChangedError retry    another session wrote to the target during the sync
    ├── FileError                     a file, its name or its content
    │   ├── MissingFileError          a file that was asked for is not there
    │   ├── FileChangedError retry    a file changed while it was read
    │   └── DirectoryBusyError retry  another sync writes to the same directory
    ├── GuardError                    a limit stopped the sync before it did harm
    ├── StaleCopyError      retry     a check found copies that differ from their source, or are too old
    ├── UnexpectedError     retry     anything else: a bug of this program, or of a class of the user's
    └── SyncFailed          retry if all its failures are    some tables or directories of a run failed; carries all reports

"retry" marks transient errors. Messages say what happened, with the value, and what to do next; they never contain a secret or a
whole row.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import NamedTuple, Self

from airflow_provider_sync.cancellation import raise_if_ended
from airflow_provider_sync.printable import printable_lines, reason
from airflow_provider_sync.redaction import redact
from airflow_provider_sync.report import Report


class _Promise(enum.Enum):
    NOTHING_CHANGED = "Nothing was changed."

    def __str__(self) -> str:
        return self.value


NOTHING_CHANGED = _Promise.NOTHING_CHANGED
"""The sentence of an error after which the target is unchanged; :meth:`SyncError.having_changed` removes it."""


class RefusedDeletes(NamedTuple):
    """What a guard refused to delete.

    :ivar kind: ``table`` or ``directory``; ``tables`` for tables that would be dropped
    :ivar name: the name under which the server offers it; of ``tables``, the pattern
    :ivar deletes: number of rows, files or tables that would be deleted
    :ivar present: number of them that the target has
    :ivar offered: number of them that the source has
    :ivar names: of ``tables``, which ones
    """

    kind: str
    name: str
    deletes: int
    present: int
    offered: int
    names: Sequence[str] = ()


class SyncError(Exception):
    """Something stopped a sync; the target is as it was, except for tables that cannot be rolled back.

    A message has no control characters except line breaks, a bounded length, and no secret that :mod:`.redaction` finds, whatever
    it quotes.

    :param args: the sentences of the message: what happened, perhaps :data:`NOTHING_CHANGED`, and what to do next
    :ivar retryable: whether the error is transient, so that the same call may succeed later
    :ivar may_have_changed: tables that were written to and could not be rolled back
    :ivar table: source name of the table that failed, if several are synced together and the error concerns one of them
    :ivar lacks_subject: whether the message names no table or file, as a database driver's message does not
    :ivar reports: one for each table or directory of the run, if it has several and some failed
    :ivar refused: deletes that guards refused, if nothing else failed; an operator may allow them
    """

    retryable: bool = False
    reports: tuple[Report, ...] = ()
    refused: tuple[RefusedDeletes, ...] = ()
    may_have_changed: tuple[str, ...] = ()
    table: str | None = None
    lacks_subject: bool = False
    _last_sentence: str = ""

    def __init__(self, *args: object) -> None:
        super().__init__(*(redact(printable_lines(value)) if isinstance(value, str) else value for value in args))

    def __str__(self) -> str:
        last = (self._last_sentence,) if self._last_sentence else ()
        return " ".join(map(str, (*self._sentences, *last)))

    @property
    def _sentences(self) -> tuple[object, ...]:
        return self.args

    def with_subject(self, subject: str) -> Self:
        """Return this error with its subject before the message, as in ``Table 'orders': …``."""
        error = copy(self)
        error.args = (f"{subject}: {self.args[0]}", *self.args[1:])
        error.lacks_subject = False
        return error

    def without_subject(self) -> Self:
        """Return this error marked as one whose message names no table or file."""
        error = copy(self)
        error.lacks_subject = True
        return error

    def having_changed(self, tables: Sequence[str], sentence: str) -> Self:
        """Return this error for further tables that may have changed: without :data:`NOTHING_CHANGED`.

        :param tables: names of the tables that may have changed
        :param sentence: another sentence at the end of the message, which names them
        """
        error = copy(self)
        error.args = tuple(value for value in self.args if value is not NOTHING_CHANGED)
        error.may_have_changed = (*self.may_have_changed, *tables)
        error._last_sentence = f"{self._last_sentence} {sentence}".lstrip()
        return error

    @property
    def failures(self) -> tuple[SyncError, ...]:
        """The errors that this one combines; the error itself if it combines none."""
        return (self,)


class ConfigurationError(SyncError):
    """An option is missing, wrong, or names something that does not exist."""


class TransportError(SyncError):
    """The server could not be reached, or did not answer in time."""

    retryable = True
    lacks_subject = True


class ConnectionLimitError(TransportError):
    """A database runs but has no connection left; the message names no host and no user."""


class SessionTimeoutError(TransportError):
    """A database ended a session or statement, for its time limit or for another session; no message names a host or user."""


class ProtocolError(SyncError):
    """The server's answer is not one that the protocol allows."""


class IncompleteStreamError(ProtocolError):
    """The body of an answer is incomplete; nothing of it was used.

    :ivar given_up: whether all ``retries`` of the request were used up
    """

    retryable = True
    given_up = False


class DamagedStreamError(IncompleteStreamError):
    """The body of an answer is not what was sent, as its digest or its compression shows.

    What arrived before is in doubt, too, so that a file must not be continued after it.
    """


class ServerError(SyncError):
    """The server answered with an error status.

    :param message: what happened and what to do
    :param status: the HTTP status of the answer
    :param of_table: whether the server says that the reason is the table, such as its lock, so that others may be answered
    """

    def __init__(self, message: str, status: int = 500, *, of_table: bool = False) -> None:
        super().__init__(message, status)
        self.status = status
        self.of_table = of_table

    @property
    def _sentences(self) -> tuple[object, ...]:
        return self.args[:1]

    @property
    def retryable(self) -> bool:  # type: ignore[override]  # a property answers for the class attribute
        """Whether the status is transient: 429, 5xx, or 410 for a snapshot that is gone, since the next run takes a new one."""
        return self.status in (410, 429) or self.status >= 500

    @property
    def repeatable(self) -> bool:
        """Whether the same request may succeed later: never with status 410, since it names a snapshot that is gone."""
        return self.retryable and self.status != 410


class TableError(SyncError):
    """A table, its columns or its rows cannot be synced as they are."""


class MissingTableError(TableError):
    """There is no table of that name.

    :param args: where it was looked for, in one sentence, and what to do
    """


class ReadOnlyError(TableError):
    """The database, the transaction or the user's privileges allow reading only."""


class DuplicateKeyError(TableError):
    """Several rows of the source have the same key in the target."""


class TriggerError(TableError):
    """A trigger of the target changed rows that the merge does not write, or the values that it wrote."""


class ReferencedRowsError(TableError):
    """A foreign key that stays on would change rows that must not change, or leave them without the row to which they refer.

    :ivar child: the table of those rows, as the database writes its name
    """

    def __init__(self, message: str, child: str = "") -> None:
        super().__init__(message, child)
        self.child = child

    @property
    def _sentences(self) -> tuple[object, ...]:
        return self.args[:1]


class TableBusyError(TableError):
    """A lock was in the way, or the target changed while it was merged."""

    retryable = True


class LockTimeoutError(TableBusyError):
    """Timed out waiting for a lock of another session, or of another sync."""


class SourceChangedError(TableBusyError):
    """The source changed between two of its answers, so that they do not fit together."""


class TargetChangedError(TableBusyError):
    """Another session wrote to the target between its comparison and the end of the merge."""


class FileError(SyncError):
    """A file, its name or its content cannot be synced as it is."""


class MissingFileError(FileError):
    """A file that was listed or asked for is not there."""


class FileChangedError(FileError):
    """A file changed while it was being read or sent."""

    retryable = True


class DirectoryBusyError(FileError):
    """Another sync holds the lock of a target directory."""

    retryable = True


class GuardError(SyncError):
    """A limit stopped the sync before it deleted, or stored, more than was allowed."""


class StaleCopyError(SyncError):
    """A check found copies that differ from their source, or were not synced for too long; the next sync may change that.

    :param message: a line for each problem
    :param names: of the tables and directories
    """

    retryable = True

    def __init__(self, message: str, names: Sequence[str] = ()) -> None:
        super().__init__(message, tuple(names))
        self.names = tuple(names)

    @property
    def _sentences(self) -> tuple[object, ...]:
        return self.args[:1]


class UnexpectedError(SyncError):
    """An unexpected error of this package or of a class of the user's; its cause is the original."""

    retryable = True


@contextmanager
def wrap_unexpected_errors() -> Iterator[None]:
    """Turn every exception of the block into a :class:`SyncError`, so that it is reported and the run continues.

    :raises UnexpectedError: for any exception that is not a :class:`SyncError`
    :raises SyncCancelled: instead of any exception, if a signal has ended the sync
    """
    try:
        yield
    except Exception as error:
        raise_if_ended(error)
        if isinstance(error, SyncError):
            raise
        # A bug: a report of it needs the name of the class.
        raise UnexpectedError(
            f"An unexpected error, {type(error).__name__}: {reason(error)}."
            " Please report it with what --verbose shows, or the task's log."
        ) from error


@contextmanager
def naming_hasher(path: str, *expected: type[Exception]) -> Iterator[None]:
    """Name the user's class by which the block hashes in errors of that class.

    :param path: the import path of the class
    :param expected: exceptions that are not its fault, such as those of reading what it hashes
    :raises UnexpectedError: for any other exception that is not a :class:`SyncError`
    """
    known: tuple[type[Exception], ...] = (SyncError, *expected)
    try:
        yield
    except known:
        raise
    except Exception as error:
        raise_if_ended(error)
        raise UnexpectedError(
            f"hasher {path!r} failed with {type(error).__name__}: {reason(error)}. Correct that class."
        ) from error


class SyncFailed(SyncError):
    """One or more tables or directories of a run failed; the reports have the outcome of all.

    The errors that :meth:`of` combines are its :attr:`failures`.

    :param message: the errors, in one line
    :param reports: one for each table and directory of the run, failed ones included
    :param retryable: whether every failure is transient
    """

    def __init__(self, message: str, reports: Sequence[Report], retryable: bool) -> None:
        super().__init__(message, tuple(reports), retryable)
        self.reports = tuple(reports)
        self.retryable = retryable
        self._combined: tuple[SyncError, ...] = ()

    @property
    def failures(self) -> tuple[SyncError, ...]:
        """The errors that were combined; itself if there were none."""
        return self._combined or (self,)

    @classmethod
    def of(cls, failures: Sequence[SyncError], reports: Sequence[Report]) -> Self:
        """Combine several errors into one; equal messages are given once."""
        messages = list(dict.fromkeys(map(str, failures)))
        message = "; ".join([*(text.removesuffix(".") for text in messages[:-1]), *messages[-1:]])
        failed = cls(message, reports, all(failure.retryable for failure in failures))
        failed._combined = tuple(failures)
        if all(failure.refused for failure in failures):
            failed.refused = tuple(refused for failure in failures for refused in failure.refused)
        return failed

    @property
    def _sentences(self) -> tuple[object, ...]:
        return self.args[:1]

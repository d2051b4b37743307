"""Which table of a transaction caused a failure, and what the reports of all its tables say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Literal

from airflow_provider_sync.exceptions import ProtocolError, ServerError, SyncError, TransportError
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.traffic import Measure

_OF_THE_SERVER = frozenset({401, 404, 405, 429, 502, 503, 504})
"""HTTP statuses that do not depend on the table: any other table would get the same answer."""


Check = tuple[str, Callable[[], object]]
"""The name of a table, and what raises its error if anything is wrong with it."""


class TablesFailed(SyncError):
    """Some tables of one transaction cannot be synced.

    :param by_table: why, by the names under which the server offers them
    """

    def __init__(self, by_table: Mapping[str, SyncError]) -> None:
        super().__init__(dict(by_table))
        self.by_table = dict(by_table)
        self.retryable = all(failure.retryable for failure in self.failures)

    @property
    def failures(self) -> tuple[SyncError, ...]:
        """The errors of all these tables."""
        return tuple(self.by_table.values())

    def __str__(self) -> str:
        return "; ".join(map(str, self.failures))


@contextmanager
def recording_table(name: str) -> Iterator[None]:
    """Record the table in errors of the block that have none recorded."""
    try:
        yield
    except SyncError as error:
        error.table = error.table or name
        raise


def is_of_the_server(error: BaseException | None) -> bool:
    """Whether an error does not depend on the table that was asked for."""
    if isinstance(error, ServerError):
        return error.status in _OF_THE_SERVER
    return isinstance(error, TransportError | ProtocolError)


def try_each(
    tables: Iterable[Check], first: SyncError | None = None, *, after_failures: Iterable[Check] = ()
) -> SyncError | None:
    """Find out what is wrong with each table, as far as that can be known; return the error of all.

    :param tables: names, each with what raises the error of that table
    :param first: an error that is known already, about the table that it names
    :param after_failures: further tables that are checked only if any failed, since all failures are reported at once
    :return: ``None`` when nothing is wrong
    """
    if first is not None and (first.table is None or is_of_the_server(first)):
        return first
    failures = {first.table: first} if first is not None and first.table is not None else {}
    for name, check in chain(tables, (entry for entry in after_failures if failures)):
        try:
            check()
        except SyncError as error:
            if is_of_the_server(error):
                # Other tables would get the same answer; errors found before stand.
                return TablesFailed(failures) if failures else error
            failures[name] = error
    if not failures:
        return None
    return TablesFailed(failures) if len(failures) > 1 or first is None else first


def failed_reports(measures: Mapping[str, Measure], protocol: Literal[1, 2], error: SyncError) -> list[TableReport]:
    """Report on the tables of one transaction, which failed.

    :param measures: what each of them cost, by name
    """
    return [
        TableReport(name=name, status="failed", protocol=protocol, error=reason, **measures[name].so_far())
        for name, reason in reasons(error, list(measures)).items()
    ]


def reasons(error: SyncError, tables: Sequence[str]) -> dict[str, str]:
    """Return why each table of a transaction failed: its own error, or that of another table.

    :param tables: names under which the server offers them
    """
    if len(tables) == 1:
        return {tables[0]: str(error)}
    if isinstance(error, TablesFailed):
        own = {name: str(failure) for name, failure in error.by_table.items()}
    elif error.table in tables:
        own = {str(error.table): str(error)}
    else:
        changed = f"none but {', '.join(error.may_have_changed)}" if error.may_have_changed else "none"
        together = f"{error} (Of {', '.join(tables)}, which share one transaction, {changed} was changed.)"
        return dict.fromkeys(tables, together)
    changed = f"Nothing but {', '.join(error.may_have_changed)}" if error.may_have_changed else "Nothing"
    others = f"{changed} was changed, since it shares one transaction with {', '.join(map(repr, own))}, which failed."
    return {name: own.get(name, others) for name in tables}

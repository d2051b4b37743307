"""Find the tables that made a transaction fail, and make the reports of all tables of the transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Literal

from airflow_provider_sync.exceptions import ProtocolError, ServerError, SyncError, TransportError
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.traffic import MEASURED, Measure

_OF_THE_SERVER = frozenset({401, 404, 405, 410, 429, 502, 503, 504})
"""HTTP statuses that do not depend on the table: a request for any other table would get the same one."""

_MAX_NAMED = 20
"""Maximum number of failed tables that the report of another table names."""


Check = tuple[str, Callable[[], object]]
"""The name of a table, and a function that raises its error, if it has one."""


class TablesFailed(SyncError):
    """Some tables of one transaction cannot be synced.

    :param by_table: their errors, by the names under which the server offers the tables
    """

    def __init__(self, by_table: Mapping[str, SyncError]) -> None:
        super().__init__(dict(by_table))
        self.by_table = dict(by_table)
        self.retryable = all(failure.retryable for failure in self.failures)

    @property
    def failures(self) -> tuple[SyncError, ...]:
        """The errors of the tables."""
        return tuple(self.by_table.values())

    def __str__(self) -> str:
        return "; ".join(map(str, self.failures))


@contextmanager
def recording_table(name: str) -> Iterator[None]:
    """Record the table's name in errors of the block that name no table."""
    try:
        yield
    except SyncError as error:
        error.table = error.table or name
        raise


def is_of_the_server(error: BaseException | None) -> bool:
    """Tell whether an error does not depend on the requested table."""
    if isinstance(error, ServerError):
        return error.status in _OF_THE_SERVER and not error.of_table
    return isinstance(error, TransportError | ProtocolError)


def concern_all(errors: Sequence[SyncError]) -> bool:
    """Whether the last of these errors says that any other table would get the same answer.

    A single 503 may be about its table, which is locked or takes too long, if the server does not tell. Two are about the server.

    :param errors: of one table each, in their order
    """
    if not is_of_the_server(errors[-1]):
        return False
    return not _is_busy(errors[-1]) or any(map(_is_busy, errors[:-1]))


def _is_busy(error: SyncError) -> bool:
    return isinstance(error, ServerError) and error.status == 503 and not error.of_table


def try_each(
    tables: Iterable[Check], first: SyncError | None = None, *, after_failures: Iterable[Check] = ()
) -> SyncError | None:
    """Check each table, and return one error for all that fail.

    :param tables: names, each with the check of that table
    :param first: an error that has already occurred, with its table recorded
    :param after_failures: more tables, which are checked only if any failed, so that one error reports all failures
    :return: ``None`` if no check fails
    """
    if first is not None and (first.table is None or concern_all([first])):
        return first
    failures = {first.table: first} if first is not None and first.table is not None else {}
    for name, check in chain(tables, (entry for entry in after_failures if failures)):
        try:
            check()
        except SyncError as error:
            if concern_all([*failures.values(), error]):
                # Other tables would get the same answer; keep the errors found so far.
                return TablesFailed(failures) if failures else error
            failures[name] = error
    if not failures:
        return None
    return TablesFailed(failures) if len(failures) > 1 or first is None else first


def failed_reports(measures: Mapping[str, Measure], protocol: Literal[1, 2], error: SyncError) -> list[TableReport]:
    """Return the reports of the tables of a failed transaction.

    :param measures: time and traffic of each table, by name
    """
    costs = {name: measure.so_far() for name, measure in measures.items()}
    return _failed(costs, protocol, error)


def failed_together(
    measures: Mapping[str, Measure], whole: Measure, protocol: Literal[1, 2], error: SyncError
) -> list[TableReport]:
    """Return the reports of the tables of a failed transaction; costs of requests about all tables count for the first.

    :param measures: time and traffic of each table, by the name under which the server offers it
    :param whole: time and traffic of requests about all tables
    """
    costs = {name: measure.so_far() for name, measure in measures.items()}
    first, *others = costs
    total = whole.so_far()
    costs[first] = {field: round(total[field] - sum(costs[name][field] for name in others), 3) for field in MEASURED}
    return _failed(costs, protocol, error)


def _failed(costs: Mapping[str, Mapping[str, Any]], protocol: Literal[1, 2], error: SyncError) -> list[TableReport]:
    return [
        TableReport(name=name, status="failed", protocol=protocol, error=reason, **costs[name])
        for name, reason in reasons(error, list(costs)).items()
    ]


def reasons(error: SyncError, tables: Sequence[str]) -> dict[str, str]:
    """Return the message for each table of a failed transaction: its own error, or a reference to the table that failed.

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
        together = f"{error} (Of {_listed(tables)}, which share one transaction, {changed} was changed.)"
        return dict.fromkeys(tables, together)
    changed = f"Nothing but {', '.join(error.may_have_changed)}" if error.may_have_changed else "Nothing"
    others = f"{changed} was changed, since it shares one transaction with {_listed([repr(name) for name in own])}, which failed."
    return {name: own.get(name, others) for name in tables}


def _listed(names: Sequence[str]) -> str:
    """Name some tables, and count the rest, since each of perhaps thousands of reports contains this text."""
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")

"""Errors: their tree, whether a retry may help, and their way through other processes."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from airflow_provider_sync import exceptions
from airflow_provider_sync.databases.table_errors import naming_table
from airflow_provider_sync.exceptions import (
    NOTHING_CHANGED,
    ServerError,
    SyncError,
    SyncFailed,
    TableBusyError,
    TableError,
    TransportError,
)
from airflow_provider_sync.report import TableReport

ERRORS = [value for value in vars(exceptions).values() if inspect.isclass(value) and issubclass(value, SyncError)]
REPORT = TableReport(name="orders", status="failed", error="No.", orphans={"a.b": 1}, warnings=("Hm.",))


def made(kind: type[SyncError]) -> SyncError:
    """Make an error of a kind."""
    if kind is SyncFailed:
        return SyncFailed("Table 'ü' is busy.", [REPORT], True)
    if issubclass(kind, ServerError):
        return kind("Table 'ü' is busy.", 429)
    return kind("Table 'ü' is busy.")


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_pickle(kind: type[SyncError]) -> None:
    """Every error can be pickled."""
    error = made(kind)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), copy.retryable, vars(copy)) == (str(error), error.retryable, vars(error))
    assert str(error) == "Table 'ü' is busy."


def test_what_several_failures_say_is_said_once() -> None:
    """One error of several has each message once, and is transient if all are."""
    failed = SyncFailed.of([TransportError("No answer."), TransportError("No answer."), SyncError("No key.")], [REPORT])
    assert str(failed) == "No answer; No key."
    assert not failed.retryable
    assert failed.reports == (REPORT,)
    assert SyncFailed.of([TransportError("No answer."), TransportError("No answer.")], []).retryable


def test_the_drawing_is_true() -> None:
    """The tree in the module's docstring shows every error below its parent, and which are transient."""
    drawing = str(exceptions.__doc__)
    parents: list[str] = []
    drawn = {}
    for line in drawing.splitlines():
        if match := re.match(r"    (?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)\b(?P<rest>.*)", line):
            depth = len(match["indent"]) // 4
            parents[depth:] = [match["name"]]
            drawn[match["name"]] = (parents[depth - 1] if depth else "Exception", match["rest"].strip().startswith("retry"))
    assert drawn.keys() == {kind.__name__ for kind in ERRORS}
    for kind in ERRORS:
        parent, retry = drawn[kind.__name__]
        assert parent == kind.__bases__[0].__name__
        assert retry is made(kind).retryable


@pytest.mark.parametrize(
    ("status", "retryable"), [(400, False), (401, False), (404, False), (422, False), (429, True), (500, True), (503, True)]
)
def test_which_statuses_may_pass(status: int, retryable: bool) -> None:
    """429 and 5xx are transient; refusals are not."""
    assert ServerError("It failed.", status).retryable is retryable


def test_a_failed_sync_may_pass_only_when_all_of_it_may() -> None:
    """A failed sync is transient only if all its errors are, and it keeps the reports."""
    error = SyncFailed("It failed.", [REPORT], False)
    assert (error.retryable, error.reports, str(error)) == (False, (REPORT,), "It failed.")


def test_what_an_error_is_about_comes_first() -> None:
    """An error that gets the name of its table or directory keeps its class, values and sentences."""
    error = ServerError("It gave up.", 503).with_subject("Table 't'")
    assert (str(error), error.status, error.retryable) == ("Table 't': It gave up.", 503, True)
    several = TableBusyError("Somebody wrote.", NOTHING_CHANGED, "Try again.").with_subject("Table 't'")
    assert str(several) == "Table 't': Somebody wrote. Nothing was changed. Try again."


def test_a_promise_is_taken_back() -> None:
    """If tables may have changed, the error names them and does not promise the opposite; also after pickling."""
    error = TableBusyError("Somebody wrote.", NOTHING_CHANGED, "Try again.").having_changed(["t"], "Table t may have changed.")
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert str(one) == "Somebody wrote. Try again. Table t may have changed."
        assert one.may_have_changed == ("t",)


def test_only_anonymous_errors_get_the_name_of_a_table() -> None:
    """A database error gets the table's name, unless it already has it."""
    for error, text in (
        (TableError("Table 'a' is a view."), "Table 'a' is a view."),
        (TableError("no such column: x").without_subject(), "Table 't': no such column: x"),
        (TransportError("No answer."), "No answer."),
    ):
        with pytest.raises(SyncError) as raised, naming_table("t"), naming_table("t"):
            raise error
        assert str(raised.value) == text


def test_an_error_of_a_connection_names_a_table_where_no_report_does() -> None:
    """A failing connection fails all tables of a run; the error for a single table names it."""
    with pytest.raises(TransportError, match=r"^Table 't': No answer\.$"), naming_table("t", connections=True):
        raise TransportError("No answer.")

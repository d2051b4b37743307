"""The loop that tries work again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import IncompleteStreamError, SourceChangedError, SyncError, TableError
from airflow_provider_sync.sync import attempts as module
from airflow_provider_sync.sync.attempts import MAX_MOVES, Attempts, repeated, source_changed


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncClient]:
    """Give a client with two retries, whose pauses take no time; it sends no request."""
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    with SyncClient("http://127.0.0.1:9", retries=2) as client:
        yield client


class Work:
    """Work that fails with one error after the other, and then returns how often it was begun."""

    def __init__(self, *errors: SyncError) -> None:
        self.errors = list(errors)
        self.begun = 0

    def __call__(self) -> int:
        """Fail, or return."""
        self.begun += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.begun


def test_incomplete_answers_are_asked_for_as_often_as_retries_says(client: SyncClient) -> None:
    """Two retries make three attempts, and the last error says that no attempt remains."""
    assert repeated(client, Work(IncompleteStreamError("cut"), IncompleteStreamError("cut"))) == 3
    work = Work(*(IncompleteStreamError("cut") for _ in range(9)))
    with pytest.raises(IncompleteStreamError) as failed:
        repeated(client, work)
    assert failed.value.given_up
    assert work.begun == 3


def test_what_was_given_up_inside_is_not_repeated_outside(client: SyncClient) -> None:
    """Nested loops do not multiply their attempts."""
    work = Work(*(IncompleteStreamError("cut") for _ in range(9)))
    with pytest.raises(IncompleteStreamError):
        repeated(client, lambda: repeated(client, work))
    assert work.begun == 3


def test_progress_restarts_the_count(client: SyncClient) -> None:
    """Work that makes progress may be cut more often than ``retries``."""
    attempts = Attempts(client)
    for _ in range(9):
        attempts.pause(IncompleteStreamError("cut"))
        attempts.progress()
    assert attempts.left


def test_work_whose_source_changed_is_tried_a_few_times(client: SyncClient) -> None:
    """A source that changes during each attempt ends the work with its own error."""
    work = Work(*(SourceChangedError(str(number)) for number in range(9)))
    attempts = Attempts(client)
    with pytest.raises(SourceChangedError, match=str(MAX_MOVES - 1)):
        attempts.run(work, is_moved=source_changed)
    assert attempts.moved == work.begun == MAX_MOVES
    assert not attempts.cut


@pytest.mark.parametrize("error", [SourceChangedError("moved"), TableError("no")])
def test_other_errors_end_the_work_at_once(client: SyncClient, error: SyncError) -> None:
    """Only errors that the caller counts as a change are retried."""
    work = Work(error)
    with pytest.raises(type(error)):
        repeated(client, work)
    assert work.begun == 1

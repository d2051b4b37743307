"""Stretches that one thread finds while another writes them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from airflow_provider_sync.files import stretches_ahead
from airflow_provider_sync.files.chunk_matching import Stretch
from airflow_provider_sync.files.stretches_ahead import StretchesAhead


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """A thread that finds stretches."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def found(ahead: StretchesAhead, count: int, taken: list[bool]) -> Iterator[Stretch]:
    """Yield stretches with their bytes, if there is a buffer for them."""
    for number in range(count):
        data = ahead.take()
        taken.append(data is not None)
        yield Stretch(number, 1, number, data)


def test_all_stretches_arrive_in_order(pool: ThreadPoolExecutor) -> None:
    """All stretches arrive in order with their bytes, within the limit of buffers."""
    ahead, taken = StretchesAhead(), list[bool]()
    pool.submit(ahead.fill, found(ahead, 200, taken))
    buffers = set()
    for number, stretch in enumerate(ahead):
        assert (stretch.offset, stretch.data is not None) == (number, True)
        buffers.add(id(stretch.data.obj if stretch.data else None))
    assert number == 199
    assert len(buffers) <= stretches_ahead._BUFFERS


def test_while_something_is_fetched_the_search_goes_on(pool: ThreadPoolExecutor) -> None:
    """While the writer waits for the source, the search finds all missing stretches without bytes in memory."""
    ahead, taken, ended = StretchesAhead(), list[bool](), Event()

    def stretches() -> Iterator[Stretch]:
        yield Stretch(0, 5, None)
        yield from found(ahead, 100, taken)
        yield Stretch(100, 5, None)
        yield Stretch(105, 6, None)
        yield Stretch(200, 7, None)
        ended.set()

    writing = iter(ahead)
    pool.submit(ahead.fill, stretches())
    assert next(writing).local is None
    assert ended.wait(30)
    assert ahead.missing() == ((0, 5), (100, 11), (200, 7))
    assert ahead.missing() == ()
    assert sum(taken) == stretches_ahead._BUFFERS
    assert len(list(writing)) == 103


def test_the_search_waits_for_buffers(pool: ThreadPoolExecutor) -> None:
    """If nothing has to be fetched, the search keeps no more stretches in memory than there are buffers."""
    ahead, taken = StretchesAhead(), list[bool]()
    pool.submit(ahead.fill, found(ahead, 100, taken))
    writing = iter(ahead)
    for number in range(20):
        next(writing)
        assert len(taken) <= number + 1 + stretches_ahead._BUFFERS
    assert all(taken)
    ahead.close()


def test_an_error_is_raised_where_stretches_are_written(pool: ThreadPoolExecutor) -> None:
    """An error of the search is raised at the writer after the stretches found before it."""
    ahead = StretchesAhead()

    def failing() -> Iterator[Stretch]:
        yield Stretch(0, 1, 0)
        raise ZeroDivisionError

    pool.submit(ahead.fill, failing())
    writing = iter(ahead)
    assert next(writing) == Stretch(0, 1, 0)
    with pytest.raises(ZeroDivisionError):
        next(writing)


def test_a_search_ends_when_nothing_is_written_any_more(pool: ThreadPoolExecutor) -> None:
    """A search that waits for a buffer ends when the writer fails."""
    ahead, taken = StretchesAhead(), list[bool]()
    search = pool.submit(ahead.fill, found(ahead, 1_000, taken))
    next(iter(ahead))
    ahead.close()
    search.result(30)
    assert len(taken) < 1_000
